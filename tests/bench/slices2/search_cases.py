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
METADATA_EFFECTS = (0.15, 0.3, 0.5)
GROUP_COUNTS = (60, 150, 300, 600)
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
    """

    kind: str
    name: str
    val: ValidationSet
    targets: tuple[Mask, ...]
    loss: float


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


def _draw_groups(clean: CleanModel, seed_text: str, is_allowed: Mask) -> NDArray[np.intp]:
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
    order = _draw_groups(clean, name, _choose_scope(clean, scope, share))
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
    return SearchCase(kind, name, val, (is_planted,), float(loss))


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
    val = replace(first.val, frame=frame, **arrays)
    loss = min(first.loss, second.loss)
    name = f"{first.name} beside {second.name}"
    return SearchCase("two causes", name, val, (first.targets[0], other), loss)


def list_corrupted_cases(part: str, clean: CleanModel) -> Iterator[SearchCase]:
    """Yield corruptions, compositions of two, and two causes side by side."""
    for corruption in CORRUPTIONS[part]:
        for severity, share in zip(SEVERITIES, PREVALENCES[::-1], strict=True):
            for scope in ("all", "class"):
                yield plant_corruption(clean, (corruption,), severity, share, scope)
        yield plant_corruption(clean, (corruption,), 3, PREVALENCES[0])
        yield plant_corruption(clean, (corruption,), 2, PREVALENCES[1], has_decoy=True)
    for pair in COMPOSITIONS[part]:
        yield plant_corruption(clean, pair, 2, PREVALENCES[2], kind="composition")
        first, second = (plant_corruption(clean, (name,), 3, PREVALENCES[1]) for name in pair)
        yield _join_cases(first, second)


def _fail_images(val: ValidationSet, is_failing: Mask) -> ValidationSet:
    """Return the set with another prediction for the images that fail."""
    class_count = len(val.class_names)
    wrong = (val.labels + 1) % class_count
    logits = np.array(val.logits)
    logits[is_failing, wrong[is_failing]] = logits[is_failing].max(1) + 1
    predictions = np.where(is_failing & ~val.is_misclassified, wrong, val.predictions)
    return replace(val, predictions=predictions, logits=logits)


def plant_metadata(clean: CleanModel, column: str, share: float, effect: float) -> SearchCase:
    """Return a case in which images of a camera, an hour or a batch fail, whatever they show.

    Args:
        clean: the model.
        column: `camera`, `hour` or `batch`.
        share: share of val.
        effect: probability that such an image fails in addition.
    """
    val = build_val(build_unplanted_case(clean))
    name = f"{clean.name} {column} {share:.0%} +{effect:.0%}"
    order = _draw_groups(clean, name, np.ones(val.image_count, bool))
    is_planted = np.zeros(val.image_count, bool)
    is_planted[take_whole_groups(order, clean.val_groups, int(share * val.image_count))] = True
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    codes = np.unique(clean.val_groups, return_inverse=True)[1]
    number = rng.integers(0, 12, codes.max() + 1)[codes]
    if column == "hour":
        values = np.where(is_planted, 2 + rng.uniform(0, 2, len(codes)), 4 + 20 * number / 12)
    elif column == "batch":
        lots = np.where(is_planted, 99, number)
        values = np.array(
            [f"lot{lot:02d}-{unit % 3}" for lot, unit in zip(lots, codes, strict=True)]
        )
    else:
        values = np.where(is_planted, "cam99", np.char.add("cam", number.astype(str)))
    failing = is_planted & (rng.random(val.image_count) < effect)
    planted = replace(_fail_images(val, failing), frame=val.frame.assign(**{column: values}))
    return SearchCase("metadata", name, planted, (is_planted,), effect)


def list_metadata_cases(clean: CleanModel) -> Iterator[SearchCase]:
    """Yield a camera, an hour and a batch at each share and effect."""
    for column in ("camera", "hour", "batch"):
        for share in PREVALENCES:
            for effect in METADATA_EFFECTS:
                yield plant_metadata(clean, column, share, effect)


def list_power_cases(part: str, clean: CleanModel) -> Iterator[SearchCase]:
    """Yield the same slice with 30 points of excess in samples of 60 to 600 groups."""
    case = plant_metadata(clean, "camera", 0.1, 0.3)
    names = np.unique(case.val.groups)
    for count in GROUP_COUNTS:
        for seed in SEEDS[part]:
            if count <= len(names):
                chosen = np.random.default_rng(seed).permutation(names)[:count]
                keep = np.isin(case.val.groups, chosen)
                yield SearchCase(
                    f"power, {count} groups",
                    f"{case.name} {count} groups {seed}",
                    case.val.select_rows(keep),
                    (case.targets[0][keep],),
                    case.loss,
                )


def list_null_cases(part: str, clean: CleanModel) -> Iterator[SearchCase]:
    """Yield draws in which outcomes are permuted by whole groups within class."""
    unplanted = build_unplanted_case(clean)
    labels = clean.images.labels[clean.val_rows]
    for seed in NULL_SEEDS[part]:
        donors = draw_outcome_donors(labels, clean.val_groups, seed)
        val = build_val(unplanted, donors)
        yield SearchCase("null", f"{clean.name} null {seed}", val, (), 0.0)


def list_hidden_cases(part: str, clean: CleanModel) -> Iterator[SearchCase]:
    """Yield signs that training hardly knows, inside a merged class."""
    for sign in HIDDEN_SIGNS[part] if clean.name == "gtsrb" else ():
        model = AlteredModel("gtsrb", f"rare-{sign}", clean.cache.parent)
        is_hidden = model.altered_mask
        val = build_val(model.build_case(is_hidden, 0.0))
        wrong = val.is_misclassified
        is_class = np.isin(val.labels, np.unique(val.labels[is_hidden]))
        loss = float(wrong[is_hidden].mean() - wrong[is_class & ~is_hidden].mean())
        yield SearchCase("hidden sub-class", f"gtsrb sign {sign}", val, (is_hidden,), loss)
