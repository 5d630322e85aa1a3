"""The corrections that an exported graph can apply, each checked against `predict`.

A graph sees the model's copy of the image and nothing else: no hour, no camera, no stored size. A
correction is carried only if the graph applies it as `predict` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import albumentations as A
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import Rule
from pipeline.learning.models.decision_module import (
    AttributeCondition,
    ContrastScaling,
    ImageCorrection,
    ImageResampling,
    LookupTable,
    PixelTransform,
    apply_pixel_transform,
    check_image_conditions,
)
from pipeline.learning.models.graph_attributes import ATTRIBUTE_FUNCTIONS
from pipeline.remedies import apply_remedy, load_remedy

Pixels = NDArray[np.uint8]
# Images on which a remedy inside the graph is compared with the remedy itself.
TRIAL_IMAGE_COUNT = 32
# Share of their pixels that may differ, by one gray level: OpenCV interpolates with fewer bits.
MAX_DIFFERING_PIXEL_SHARE = 1e-3
# Share of the validation images for which the condition may have another result when it is measured
# on the model's pixels.
MAX_CONDITION_MISMATCH_SHARE = 0.05


@dataclass(frozen=True)
class ValidationImages:
    """The validation images of a run.

    Attributes:
        pixels: the model's input, uint8 [N, S, S, 3].
        frame: attributes and metadata of the stored images, N rows.
    """

    pixels: Pixels
    frame: pd.DataFrame


@dataclass(frozen=True)
class PortableCorrections:
    """The corrections of a policy, as far as a graph can apply them.

    Attributes:
        corrections: those inside the graph, in order.
        descriptions: all of them for the file and its reader, each with slice, when, words,
            is_carried, mismatch_count (validation images with another result of the condition on
            the model's pixels; None if it cannot be measured there), image_count and
            omission_reason ("" if it is carried).
    """

    corrections: tuple[ImageCorrection, ...]
    descriptions: tuple[dict[str, Any], ...]


def _build_value_table(remedy: str, strength: float) -> PixelTransform:
    """Return a table with the remedy's result for each value of each channel."""
    levels = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 16, 16, 3)
    return LookupTable(apply_remedy(remedy, levels, strength, strength, seed=0).reshape(256, 3))


def _build_resampling(transform: A.BasicTransform, side: int) -> PixelTransform:
    """Return the source position of each pixel, found by transforming two images of positions.

    The first image holds each pixel's position. The second holds whether it is odd, which resolves
    fractions of a pixel more finely.

    Args:
        transform: a transform that moves pixels.
        side: side of the image, in pixels.
    """
    pipeline = A.Compose([transform], seed=0, strict=True)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    position_image = np.stack([x, y, x], -1) / (side - 1)
    parity_image = np.stack([x, y, x], -1) % 2
    positions = pipeline(image=position_image)["image"][..., :2].astype(np.float64)
    parities = pipeline(image=parity_image)["image"][..., :2].astype(np.float64)
    whole = np.clip(np.floor(positions * (side - 1)), 0, side - 2)
    return ImageResampling(whole + np.where(whole % 2, 1 - parities, parities))


def _propose_transforms(remedy: str, strength: float, side: int) -> Iterator[PixelTransform]:
    """Yield the modules that may do what the remedy does."""
    yield _build_value_table(remedy, strength)
    yield ContrastScaling(strength)
    transform = load_remedy(remedy).build_transform(strength, strength)
    if isinstance(transform, A.DualTransform):  # one that moves pixels, and accepts fractions
        yield _build_resampling(transform, side)


def find_equivalent_transform(
    remedy: str, strength: float, images: Pixels
) -> PixelTransform | None:
    """Return a module that does what the remedy does, or None.

    Args:
        remedy: name of the remedy.
        strength: its strength.
        images: images to compare both on, uint8 [N, S, S, 3].
    """
    expected = apply_remedy(remedy, images, strength, strength, seed=0).astype(np.float32)
    for transform in _propose_transforms(remedy, strength, images.shape[1]):
        difference = np.abs(apply_pixel_transform(transform, images) - expected)
        if difference.max() <= 1 and (difference > 0).mean() <= MAX_DIFFERING_PIXEL_SHARE:
            return transform
    return None


def _list_conditions(rule: Rule) -> tuple[AttributeCondition, ...]:
    return tuple((c.column, c.op, c.value) for c in rule.conditions)


def _explain_unmeasurable(rule: Rule) -> str:
    """Return why the rule cannot be tested on the model's pixels, "" if it can."""
    unmeasurable = []
    for condition in rule.conditions:
        if condition.op in ("near", "is", "starts") or condition.column not in ATTRIBUTE_FUNCTIONS:
            unmeasurable.append(condition.format_text())
    if not unmeasurable:
        return ""
    return f"{' and '.join(unmeasurable)} cannot be measured on the model's pixels"


def _count_mismatches(rule: Rule, validation_images: ValidationImages) -> int:
    """Return for how many images the rule has another result on the model's pixels."""
    graph_mask = check_image_conditions(_list_conditions(rule), validation_images.pixels)
    return int((graph_mask != rule.compute_image_mask(validation_images.frame)).sum())


def _assess_correction(
    policy_correction: Mapping[str, Any], rule: Rule, validation_images: ValidationImages
) -> tuple[ImageCorrection | None, dict[str, Any]]:
    """Return a correction for the graph, None if it is omitted, and its description.

    Args:
        policy_correction: slice, remedy, strength and words.
        rule: rule of the slice.
        validation_images: images to compare the graph with `predict` on.
    """
    remedy, strength = policy_correction["remedy"], float(policy_correction["strength"])
    image_count = len(validation_images.frame)
    mismatch_count: int | None = None
    transform: PixelTransform | None = None
    reason = _explain_unmeasurable(rule)
    if not reason:
        mismatch_count = _count_mismatches(rule, validation_images)
        if mismatch_count > MAX_CONDITION_MISMATCH_SHARE * image_count:
            reason = (
                f"measured on the model's pixels, the condition has another result for "
                f"{mismatch_count} of {image_count} validation images"
            )
    if not reason:
        trial_images = validation_images.pixels[:TRIAL_IMAGE_COUNT]
        transform = find_equivalent_transform(remedy, strength, trial_images)
        if transform is None:
            reason = f"no operation of the graph does the same as {remedy}"
    description = {
        "slice": policy_correction["slice"],
        "when": Rule(rule.conditions).format_text(),
        "words": policy_correction["words"],
        "is_carried": not reason,
        "mismatch_count": mismatch_count,
        "image_count": image_count,
        "omission_reason": reason,
    }
    if transform is None:
        return None, description
    return ImageCorrection(_list_conditions(rule), transform), description


def select_portable_corrections(
    corrections: Sequence[Mapping[str, Any]],
    rules: Mapping[str, Rule],
    validation_images: ValidationImages,
) -> PortableCorrections:
    """Return the corrections of a policy that a graph can apply.

    Args:
        corrections: the policy's corrections: slice, remedy, strength and words.
        rules: rule of each slice.
        validation_images: images to compare the graph with `predict` on.
    """
    carried = []
    descriptions = []
    for policy_correction in corrections:
        rule = rules[policy_correction["slice"]]
        correction, description = _assess_correction(policy_correction, rule, validation_images)
        descriptions.append(description)
        if correction is not None:
            carried.append(correction)
    return PortableCorrections(tuple(carried), tuple(descriptions))
