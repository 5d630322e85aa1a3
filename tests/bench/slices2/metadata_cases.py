"""Cases in which images of a camera, an hour or a batch fail, whatever they show."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pipeline.domain.validation_set import ValidationSet
from tests.bench.slices.clean_models import CleanModel
from tests.bench.slices.finder_runs import build_val
from tests.bench.slices.planted_settings import build_unplanted_case, take_whole_groups
from tests.bench.slices2.search_cases import PREVALENCES, SEEDS, Mask, SearchCase, draw_groups

METADATA_EFFECTS = (0.15, 0.3, 0.5)
GROUP_COUNTS = (60, 150, 300, 600)


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
    order = draw_groups(clean, name, np.ones(val.image_count, bool))
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
    pixels = clean.val_pixels
    return SearchCase("metadata", name, planted, (is_planted,), effect, clean, pixels)


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
                yield replace(
                    case,
                    kind=f"power, {count} groups",
                    name=f"{case.name} {count} groups {seed}",
                    val=case.val.select_rows(keep),
                    targets=(case.targets[0][keep],),
                )
