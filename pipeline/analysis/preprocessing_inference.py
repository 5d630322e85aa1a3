"""The preprocessing of a user's model, inferred by agreement with its predictions.

No file of a model tells how its images were scaled, cropped and resampled. Every usual way is tried
on a sample of the images; the one whose outputs agree with the given predictions is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.analysis.image_fitting import Geometry, ImageFitting, Interpolation
from pipeline.contracts import InputError
from pipeline.data.reading.image_decoding import ImageError, decode_image
from pipeline.data.reading.image_sources import read_file
from pipeline.data.reading.ordered_threads import map_in_order
from pipeline.learning.models.external_model import ExternalModel, convert_to_logits

MINIMUM_AGREEMENT = 0.9
"""Share of images on which the model must answer as the predictions do."""
SCREENED_IMAGES = 64
"""Images on which every scaling and geometry is tried: a wrong one loses tens of points."""
COMPARED_IMAGES = 256
"""Images on which interpolations are tried: they differ by few points."""
FINALIST_COUNT = 3
"""Pairs of scaling and geometry whose interpolations are compared."""
CHUNK_IMAGES = 32
"""Images held in every form at once: 3 MB each at a side of 224."""
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Preprocessing:
    """How an image is prepared for a model.

    Attributes:
        fitting: geometry and interpolation.
        scaling: key of `PIXEL_SCALINGS`.
    """

    fitting: ImageFitting
    scaling: str

    def __str__(self) -> str:
        """Return the preprocessing in words."""
        return f"{self.fitting.geometry}; {self.fitting.interpolation}; pixels {self.scaling}"


@dataclass(frozen=True)
class PreprocessingMatch:
    """A preprocessing and how well the model then agrees with the predictions.

    Attributes:
        preprocessing: the preprocessing.
        agreement: share of images with the same class.
        distance: mean total variation distance of the probabilities, 0 to 1.
    """

    preprocessing: Preprocessing
    agreement: float
    distance: float


def infer_preprocessing(
    model: ExternalModel, image_paths: Sequence[Path], logits: Logits, source: str, seed: int
) -> PreprocessingMatch:
    """Return the preprocessing with which a model agrees best with given predictions.

    Preprocessings that agree equally well, such as all geometries of square images, are ranked by
    the distance of the probabilities, then by their order.

    Args:
        model: the model.
        image_paths: the images, [N].
        logits: the predictions, float32 [N, classes].
        source: the model's file or argument, for the error message.
        seed: seed of the sample.

    Raises:
        InputError: the best agreement is below `MINIMUM_AGREEMENT`, or classes differ in number.
    """
    order = np.random.default_rng(seed).permutation(len(image_paths))[:COMPARED_IMAGES]
    fittings = [ImageFitting(geometry, Interpolation.PILLOW_BILINEAR) for geometry in Geometry]
    tried = [Preprocessing(*pair) for pair in product(fittings, model.scalings)]
    screened = _rank_preprocessings(
        model, tried, image_paths, logits, order[:SCREENED_IMAGES], source
    )
    finalists = []
    for match, interpolation in product(screened[:FINALIST_COUNT], Interpolation):
        geometry = match.preprocessing.fitting.geometry
        fitting = ImageFitting(geometry, interpolation)
        finalists.append(Preprocessing(fitting, match.preprocessing.scaling))
    best = _rank_preprocessings(model, finalists, image_paths, logits, order, source)[0]
    if best.agreement < MINIMUM_AGREEMENT:
        raise InputError(
            f"{source}: answers as the predictions do for {best.agreement:.0%} of {len(order)} "
            f"images at best ({best.preprocessing}, {model.side} px), {MINIMUM_AGREEMENT:.0%} is "
            "needed; its classes must have the order of the sorted prob_ or logit_ columns, and "
            "--side is its input's side if the model leaves it open"
        )
    return best


def _rank_preprocessings(
    model: ExternalModel,
    tried: Sequence[Preprocessing],
    image_paths: Sequence[Path],
    logits: Logits,
    rows: NDArray[np.intp],
    source: str,
) -> list[PreprocessingMatch]:
    """Return the preprocessings with their agreement, best first."""
    fittings = list(dict.fromkeys(preprocessing.fitting for preprocessing in tried))
    scores: dict[Preprocessing, list[Logits]] = {preprocessing: [] for preprocessing in tried}
    used_rows = []

    def prepare_image(row: int) -> list[NDArray[np.uint8]] | None:
        return _prepare_forms(image_paths[row], fittings, model.side)

    for start in range(0, len(rows), CHUNK_IMAGES):
        chunk = rows[start : start + CHUNK_IMAGES].tolist()
        forms = list(map_in_order(chunk, prepare_image))
        readable = [form for form in forms if form is not None]
        used_rows += [row for row, form in zip(chunk, forms, strict=True) if form is not None]
        if not readable:
            continue
        for preprocessing in tried:
            position = fittings.index(preprocessing.fitting)
            pixels = np.stack([form[position] for form in readable])
            scores[preprocessing].append(model.predict_scores(pixels, preprocessing.scaling))
    expected = logits[used_rows]
    matches = []
    for preprocessing, parts in scores.items():
        found = np.nan_to_num(np.concatenate(parts)) if parts else np.zeros_like(expected)
        _check_class_count(found, expected, source)
        matches.append(_match_scores(preprocessing, found, expected))
    return sorted(matches, key=lambda match: (-match.agreement, match.distance))


def _check_class_count(found: Logits, expected: Logits, source: str) -> None:
    if found.shape[1] != expected.shape[1]:
        raise InputError(
            f"{source}: answers with {found.shape[1]} classes, the predictions have "
            f"{expected.shape[1]}"
        )


def _prepare_forms(
    path: Path, fittings: Sequence[ImageFitting], side: int
) -> list[NDArray[np.uint8]] | None:
    """Return an image in every fitting; None if it cannot be read, which is reported later."""
    try:
        pixels = decode_image(read_file(str(path)))
    except ImageError:
        return None
    return [fitting.fit_image(pixels, side) for fitting in fittings]


def _match_scores(
    preprocessing: Preprocessing, found: Logits, expected: Logits
) -> PreprocessingMatch:
    """Return how well scores [N, classes] agree with the predictions; all of none do."""
    if not len(expected):
        return PreprocessingMatch(preprocessing, 1.0, 0.0)
    first = softmax(convert_to_logits(found).astype(np.float64), axis=1)
    second = softmax(expected.astype(np.float64), axis=1)
    return PreprocessingMatch(
        preprocessing,
        float((found.argmax(1) == expected.argmax(1)).mean()),
        float(np.abs(first - second).sum(1).mean() / 2),
    )
