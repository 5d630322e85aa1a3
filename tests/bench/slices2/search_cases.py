"""The cases of the second benchmark, written down before anything was measured.

Half of the corruptions, of the hidden signs and of the seeds are held out: they enter only the run
of the last commit. The corruptions come from the package imagecorruptions. Installed without its
dependencies, and with scikit-image and numba, it can be imported; without it these cases are left
out.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.domain.validation_set import ValidationSet
from tests.bench.slices.altered_data import AlteredModel
from tests.bench.slices.clean_models import CleanModel
from tests.bench.slices.finder_runs import build_val
from tests.bench.slices.nulls import draw_outcome_donors
from tests.bench.slices.planted_settings import (
    PlantedCase,
    PlantedSetting,
    build_unplanted_case,
    replace_outputs,
    take_whole_groups,
)
from tests.bench.slices2.corruption_package import load_corruptions
from tests.bench.slices2.image_models import ImageModel

CORRUPTIONS = {
    "development": ("gaussian_noise", "defocus_blur", "brightness", "contrast", "fog", "pixelate"),
    "held_out": ("shot_noise", "motion_blur", "snow", "frost", "jpeg_compression", "zoom_blur"),
}
COMPOSITIONS = {
    "development": (("contrast", "gaussian_noise"), ("fog", "pixelate")),
    "held_out": (("snow", "motion_blur"), ("frost", "jpeg_compression")),
}
# Signs of one merged class each, hidden from training but for one track.
HIDDEN_SIGNS = {
    "development": ("01", "09", "13", "18", "25", "38"),
    "held_out": ("04", "10", "12", "17", "26", "35"),
}
SEVERITIES = (1, 2, 3)
PREVALENCES = (0.02, 0.05, 0.15)
DECOY_LIGHT = 0.75  # of the light of a decoy camera, which is dark and fails from something else
SEEDS = {"development": range(3), "held_out": range(100, 105)}
NULL_SEEDS = {"development": range(20), "held_out": range(1000, 1300)}
Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class SearchCase:
    """A validation set in which known images fail.

    Attributes:
        kind: what was planted.
        name: name of the case.
        val: the validation set.
        targets: bool [rows] for each planted slice; none in a null draw.
        loss: accuracy that the planted images lose.
        model: the model whose failures are searched.
        pixels: uint8 [rows of the whole val, side, side, 3], as the model saw them.
        causes: corruptions of each target, one after the other; none where no transform is the
            cause.
        severity: of these corruptions.
    """

    kind: str
    name: str
    val: ValidationSet
    targets: tuple[Mask, ...]
    loss: float
    model: ImageModel
    pixels: Pixels
    causes: tuple[tuple[str, ...], ...] = ((),)
    severity: int = 0


def corrupt_images(pixels: Pixels, corruptions: tuple[str, ...], severity: int) -> Pixels:
    """Return images corrupted by `imagecorruptions` (Michaelis et al. 2019), one after the other.

    The same images get the same noise each time, so that kept outputs match them.

    Raises:
        CorruptionsAbsentError: the package cannot be imported.
    """
    corrupt = load_corruptions().corrupt
    np.random.seed(severity)  # the package draws from numpy's global generator
    images = []
    for image in pixels:
        for name in corruptions:
            image = corrupt(image, corruption_name=name, severity=severity)
        images.append(image.astype(np.uint8))
    return np.stack(images)


def draw_groups(clean: CleanModel, seed_text: str, is_allowed: Mask) -> NDArray[np.intp]:
    """Return rows of val by whole groups, in an order drawn by seed."""
    groups = clean.val_groups
    names = np.unique(groups[is_allowed])
    rng = np.random.default_rng(zlib.crc32(seed_text.encode()))
    rank = dict(zip(rng.permutation(names).tolist(), range(len(names)), strict=True))
    rows = np.flatnonzero(is_allowed)
    return rows[np.argsort([rank[group] for group in groups[rows].tolist()], kind="stable")]


def _choose_scope(clean: CleanModel, scope: str, share: float) -> Mask:
    """Return bool [val]: all images, or those of a large class."""
    labels = clean.val_labels
    if scope == "all":
        return np.ones(len(labels), bool)
    large = np.flatnonzero(np.bincount(labels) >= 1.2 * share * len(labels))
    return np.asarray(labels == large[zlib.crc32(clean.name.encode()) % len(large)])


def plant_corruption(
    clean: CleanModel,
    corruptions: tuple[str, ...],
    severity: int,
    share: float,
    scope: str = "all",
    *,
    has_decoy: bool = False,
    kind: str = "corruption",
) -> SearchCase:
    """Return a case in which whole groups are corrupted.

    Args:
        clean: the model.
        corruptions: corruptions, one after the other.
        severity: 1 to 3.
        share: share of val.
        scope: `all` or `class`.
        has_decoy: whether the images are also darker, and of a camera of their own.
        kind: kind of the case.
    """
    name = f"{clean.name} {'+'.join(corruptions)} {severity} {share:.0%} {scope}"
    name += " decoy" if has_decoy else ""
    order = draw_groups(clean, name, _choose_scope(clean, scope, share))
    rows = np.sort(take_whole_groups(order, clean.val_groups, int(share * len(clean.val_rows))))
    pixels = clean.val_pixels
    source = pixels[rows]
    if has_decoy:
        source = np.stack([cv2.convertScaleAbs(image, alpha=DECOY_LIGHT) for image in source])
    treated = corrupt_images(source, corruptions, severity)
    outputs = clean.load_outputs(name.replace(" ", "-"), treated, clean.probed_mask[rows])
    everything = np.ones(len(rows), bool)
    joined = replace_outputs(clean.val_outputs, outputs, rows, everything, clean.probed_mask)
    is_planted = np.zeros(len(pixels), bool)
    is_planted[rows] = True
    pixels[rows] = treated
    setting = PlantedSetting(clean.name, corruptions[0], 0, share, scope)
    val = build_val(PlantedCase(setting, clean, is_planted, joined, pixels, 0.0))
    if has_decoy:
        camera = np.where(is_planted, "decoy", val.frame["camera"])
        val = replace(val, frame=val.frame.assign(camera=camera))
    before = clean.val_outputs.logits.argmax(1) == clean.val_labels
    loss = before[is_planted].mean() - (~val.is_misclassified)[is_planted].mean()
    planted = ((is_planted,), float(loss), clean, pixels, (corruptions,), severity)
    return SearchCase(kind, name, val, *planted)


def _join_cases(first: SearchCase, second: SearchCase) -> SearchCase:
    """Return the case in which both slices are planted, the second where the first one is not."""
    other = second.targets[0] & ~first.targets[0]
    frame = first.val.frame.copy()
    frame.loc[other] = second.val.frame.loc[other]
    arrays = {}
    for name in ("predictions", "logits", "margins", "embeddings"):
        values = np.array(getattr(first.val, name))
        values[other] = getattr(second.val, name)[other]
        arrays[name] = values
    is_other_probed = other[first.val.probed_rows]
    responses = (second.val.responses, first.val.responses)
    arrays["responses"] = np.where(is_other_probed[:, None], *responses)
    return SearchCase(
        "two causes",
        f"{first.name} beside {second.name}",
        replace(first.val, frame=frame, **arrays),
        (first.targets[0], other),
        min(first.loss, second.loss),
        first.model,
        np.where(other[:, None, None, None], second.pixels, first.pixels),
        (first.causes[0], second.causes[0]),
        first.severity,
    )


def list_corrupted_cases(part: str, clean: CleanModel) -> Iterator[SearchCase]:
    """Yield corruptions, so that the first few differ in corruption, severity and scope."""
    corruptions = CORRUPTIONS[part]
    levels = list(product(zip(SEVERITIES, PREVALENCES[::-1], strict=True), ("all", "class")))
    for step in range(len(levels)):
        for number, corruption in enumerate(corruptions):
            (severity, share), scope = levels[(step + number) % len(levels)]
            yield plant_corruption(clean, (corruption,), severity, share, scope)
    for corruption in corruptions:
        yield plant_corruption(clean, (corruption,), 2, PREVALENCES[1], has_decoy=True)
        yield plant_corruption(clean, (corruption,), 3, PREVALENCES[0])


def list_paired_cases(part: str, clean: CleanModel) -> Iterator[SearchCase]:
    """Yield compositions of two corruptions, and two causes side by side in different images."""
    for pair in COMPOSITIONS[part]:
        yield plant_corruption(clean, pair, 2, PREVALENCES[2], kind="composition")
        first, second = (plant_corruption(clean, (name,), 3, PREVALENCES[1]) for name in pair)
        yield _join_cases(first, second)


def list_null_cases(part: str, clean: CleanModel) -> Iterator[SearchCase]:
    """Yield draws in which outcomes are permuted by whole groups within class."""
    unplanted = build_unplanted_case(clean)
    labels = clean.images.labels[clean.val_rows]
    for seed in NULL_SEEDS[part]:
        donors = draw_outcome_donors(labels, clean.val_groups, seed)
        val = build_val(unplanted, donors)
        planted = ((), 0.0, clean, clean.val_pixels, ())
        yield SearchCase("null", f"{clean.name} null {seed}", val, *planted)


def list_hidden_cases(part: str, clean: CleanModel) -> Iterator[SearchCase]:
    """Yield signs that training hardly knows, inside a merged class."""
    for sign in HIDDEN_SIGNS[part] if clean.name == "gtsrb" else ():
        model = AlteredModel("gtsrb", f"rare-{sign}", clean.cache.parent)
        is_hidden = model.altered_mask
        val = build_val(model.build_case(is_hidden, 0.0))
        wrong = val.is_misclassified
        is_class = np.isin(val.labels, np.unique(val.labels[is_hidden]))
        loss = float(wrong[is_hidden].mean() - wrong[is_class & ~is_hidden].mean())
        planted = ((is_hidden,), loss, model, model.val_pixels)
        yield SearchCase("hidden sub-class", f"gtsrb sign {sign}", val, *planted)
