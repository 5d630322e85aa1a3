"""Which corrections a graph can carry, found by trying: each is kept only if it does what predict does.

Inside a graph there is the model's small copy of the image, and nothing else: no hour, no camera, no stored size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import albumentations as A
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.domain.rules import Rule
from pipeline.learning.models.decision_module import (
    ContrastScaling,
    ImageCorrection,
    ImageResampling,
    LookupTable,
    PixelTransform,
    apply_pixel_transform,
    check_image_conditions,
)
from pipeline.learning.models.graph_attributes import ATTRIBUTE_FUNCTIONS
from pipeline.remedies import apply_remedy

Pixels = NDArray[np.uint8]
TRIAL_IMAGE_COUNT = (
    32  # images on which a remedy inside the graph is compared with the remedy itself
)
MAX_DIFFERING_PIXEL_SHARE = 1e-3  # share of pixels that may differ there, by one gray level: OpenCV interpolates in fewer bits
MAX_CONDITION_MISMATCH_SHARE = 0.05  # share of val that the condition may take for the other side, measured on the small copies


@dataclass(frozen=True)
class ValidationImages:
    """The images of val: pixels uint8 [N, S, S, 3] as the model sees them, frame: what rules ask, as stored."""

    pixels: Pixels
    frame: pd.DataFrame


@dataclass(frozen=True)
class PortableCorrections:
    """corrections: those inside the graph, in order. told: all of them in words, for the file and its reader:
    {slice, when, words, carried, elsewhere (images of val on the condition's other side), of, why (left out)}."""

    corrections: tuple[ImageCorrection, ...]
    descriptions: tuple[dict[str, Any], ...]

    @property
    def omitted_corrections(self) -> list[dict[str, Any]]:
        """Those that the graph cannot make."""
        return [item for item in self.descriptions if not item["carried"]]


def _build_value_table(remedy: str, strength: float) -> PixelTransform:
    """Each value by the remedy itself: a picture that holds every one."""
    every = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 16, 16, 3)
    return LookupTable(apply_remedy(remedy, every, strength, strength, seed=0).reshape(256, 3))


def _build_resampling(transform: A.BasicTransform, side: int) -> PixelTransform:
    """Where each pixel is taken from: the transform of two pictures, of places and (finer) of odd against even ones."""
    moves = A.Compose([transform], seed=0, strict=True)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    pictures = (np.stack([x, y, x], -1) / (side - 1), np.stack([x, y, x], -1) % 2)
    coarse, odd = (
        moves(image=picture)["image"][..., :2].astype(np.float64) for picture in pictures
    )
    whole = np.clip(np.floor(coarse * (side - 1)), 0, side - 2)
    return ImageResampling(whole + np.where(whole % 2, 1 - odd, odd))


def _propose_changes(remedy: str, strength: float, side: int) -> Iterator[PixelTransform]:
    """What the remedy might be."""
    yield _build_value_table(remedy, strength)
    yield ContrastScaling(strength)
    transform = plugins.load_plugin("remedies", remedy).build_transform(strength, strength)
    if isinstance(transform, A.DualTransform):  # one that moves pixels, and takes fractions too
        yield _build_resampling(transform, side)


def find_equivalent_change(remedy: str, strength: float, images: Pixels) -> PixelTransform | None:
    """The remedy at this strength as a module that does to `images` uint8 [N, S, S, 3] what the remedy does, or None."""
    want = apply_remedy(remedy, images, strength, strength, seed=0).astype(np.float32)
    for form in _propose_changes(remedy, strength, images.shape[1]):
        off = np.abs(apply_pixel_transform(form, images) - want)
        if off.max() <= 1 and (off > 0).mean() <= MAX_DIFFERING_PIXEL_SHARE:
            return form
    return None


def _explain_unmeasurable(rule: Rule) -> str:
    """Why the rule's condition cannot be asked of the small copy, or nothing."""
    lacking = [
        c.format_text()
        for c in rule.conditions
        if c.op in ("near", "is") or c.column not in ATTRIBUTE_FUNCTIONS
    ]
    return f"{' and '.join(lacking)} cannot be told from the model's pixels" if lacking else ""


def _count_mismatches(rule: Rule, validation_images: ValidationImages) -> int:
    """Images of val for which the condition answers otherwise on the small copy than on the image as stored."""
    asked = [(c.column, c.op, c.value) for c in rule.conditions]
    return int(
        (
            check_image_conditions(asked, validation_images.pixels)
            != rule.compute_image_mask(validation_images.frame)
        ).sum()
    )


def _assess_correction(
    policy_correction: Mapping[str, Any], rule: Rule, validation_images: ValidationImages
) -> tuple[ImageCorrection | None, dict[str, Any]]:
    told = {
        "slice": policy_correction["slice"],
        "when": Rule(rule.conditions).format_text(),
        "words": policy_correction["words"],
    }
    count, change = len(validation_images.frame), None
    why, elsewhere = _explain_unmeasurable(rule), None
    if not why:
        elsewhere = _count_mismatches(rule, validation_images)
        if elsewhere > MAX_CONDITION_MISMATCH_SHARE * count:
            why = f"on the model's pixels the condition takes {elsewhere} of {count} images of val for its other side"
    if not why:
        change = find_equivalent_change(
            policy_correction["remedy"],
            float(policy_correction["strength"]),
            validation_images.pixels[:TRIAL_IMAGE_COUNT],
        )
        why = (
            ""
            if change
            else f"{policy_correction['remedy']} has no counterpart in the graph that does the same"
        )
    told |= {"carried": not why, "elsewhere": elsewhere, "of": count, "why": why}
    asked = tuple((c.column, c.op, c.value) for c in rule.conditions)
    return (ImageCorrection(asked, change) if change else None), told


def select_portable_corrections(
    corrections: Sequence[Mapping[str, Any]],
    rules: Mapping[str, Rule],
    validation_images: ValidationImages,
) -> PortableCorrections:
    """What of a policy's corrections a graph can make. rules: of each slice, as predict knows them."""
    judged = [
        _assess_correction(item, rules[item["slice"]], validation_images) for item in corrections
    ]
    return PortableCorrections(
        tuple(made for made, _ in judged if made), tuple(told for _, told in judged)
    )
