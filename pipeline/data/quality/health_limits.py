"""Conditions of a healthy data set, and their limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from pipeline.config import StageSettings, resolve_config
from pipeline.data.reading.image_record import NOT_IMAGE_REASON

MIN_COMPARED_IMAGES = 20
"""Images from which equal looks are judged."""


class HealthLimits(StageSettings):
    """Limits of the health check.

    A field that begins with `max_` or `min_` is the limit of the condition of that name, except
    `max_aspect_ratio`. The other fields define what counts as dark, blurred and so on.
    """

    max_rejected: float = Field(
        0.01, ge=0, le=1, description="share of entries rejected; files that are no images are free"
    )
    max_cross_split_pairs: int = Field(
        0, ge=0, description="duplicate pairs, exact or near, with images in two splits"
    )
    max_label_conflicts: int = Field(
        0, ge=0, description="pairs of the same bytes under two labels"
    )
    max_split_groups: int = Field(0, ge=0, description="groups with images in several splits")
    max_duplicate_ratio: float = Field(
        0.05, ge=0, description="exact duplicate pairs for each image"
    )
    max_class_ratio: float = Field(
        100.0, ge=1, description="images of the largest class for each of the smallest"
    )
    min_class_images: int = Field(20, ge=0, description="images of every class")
    max_unlabeled: float = Field(
        0.0, ge=0, le=1, description="share of images without a label, if any image has one"
    )
    min_classes: int = Field(2, ge=0, description="classes, if any image has a label")
    max_untrained_classes: int = Field(
        0, ge=0, description="classes of val or test without an image in train"
    )
    max_unjudged_classes: int = Field(
        0, ge=0, description="classes of train without an image in val or test"
    )
    max_near_label_conflicts: int = Field(
        0, ge=0, description="near-duplicate pairs under two labels"
    )
    min_test_images: int = Field(
        1, ge=0, description="images of test, if the data set defines splits"
    )
    max_dark: float = Field(0.95, ge=0, le=1, description="share of dark images")
    max_equal: float = Field(
        0.9, ge=0, le=1, description="share of images in the largest set of equal looks"
    )
    max_split_difference: float = Field(
        0.25,
        ge=0,
        le=1,
        description="difference between train and another split in the share of dark, bright or "
        "blurred images",
    )
    max_unused_tables: int = Field(0, ge=0, description="tables that label images and are not read")
    max_label_folders: int = Field(
        0,
        ge=0,
        description="folders of one label each, more than classes, whose images are no group",
    )
    max_suspected: float = Field(
        0.05, ge=0, le=1, description="share of images whose label a run suspects"
    )
    near_duplicates: int = Field(
        4, ge=-1, le=16, description="different bits (of 64) of near-duplicates at most; -1: off"
    )
    dark_below: float = Field(
        50.0, description="luminance (0 to 255) below which an image counts as dark"
    )
    bright_above: float = Field(
        205.0, description="luminance above which an image counts as bright"
    )
    blurred_below: float = Field(
        1.0, description="sharpness (log10) at 128 px below which an image counts as blurred"
    )
    max_aspect_ratio: float = Field(
        4.0, gt=1, description="longer by shorter side above which a size counts as unusual"
    )
    small_side_below: int = Field(
        24, ge=0, description="px of the shorter side below which a size counts as unusual"
    )


def parse_health_limits(assignments: Iterable[str]) -> HealthLimits:
    """Return the default limits with `KEY=VALUE` assignments applied.

    Raises:
        InputError: a key is unknown, or a value is invalid.
    """
    overrides = [f"check.{assignment}" for assignment in assignments]
    settings = resolve_config(None, overrides, {"check": HealthLimits}).stages["check"]
    assert isinstance(settings, HealthLimits)
    return settings


def evaluate_limits(health: Mapping[str, Any], limits: HealthLimits) -> list[dict[str, Any]]:
    """Return the result of each condition that applies: name, value, limit, passed, examples.

    Conditions on labels apply only to a data set with labels, those on splits only to one with
    splits.
    """
    conditions = []
    for name, value in _measure_conditions(health).items():
        limit = float(getattr(limits, name))
        passed = value >= limit if name.startswith("min_") else value <= limit
        conditions.append(
            {
                "name": name,
                "value": round(float(value), 6),
                "limit": limit,
                "passed": passed,
                "examples": health["faults"]["examples"].get(name, []),
            }
        )
    return conditions


def _measure_conditions(health: Mapping[str, Any]) -> dict[str, float]:
    """Return the value of each condition that applies, by the name of its limit."""
    image_count = max(health["images"], 1)
    duplicates = health["duplicates"]
    faults = health["faults"]
    class_sizes = health["classes"].values()
    rejected_images = health["rejected"] - health["reasons"].get(NOT_IMAGE_REASON, 0)
    values = {
        "max_rejected": rejected_images / max(health["entries"], 1),
        "max_duplicate_ratio": duplicates["exact"] / image_count,
        "max_dark": health["light"]["all"]["dark"],
        "max_unused_tables": faults["unused_tables"],
    }
    if health["images"] >= MIN_COMPARED_IMAGES:
        values["max_equal"] = faults["equal_share"]
    if health["splits"]:
        values["max_cross_split_pairs"] = duplicates["cross_split"]
        values["max_split_groups"] = health["leaks"]["split_groups"]
        values["min_test_images"] = health["splits"].get("test", 0)
        values["max_split_difference"] = faults["split_difference"].get("value", 0.0)
    if class_sizes:
        values["min_classes"] = len(class_sizes)
        values["max_label_conflicts"] = duplicates["label_conflicts"]
        values["max_near_label_conflicts"] = duplicates["near_label_conflicts"]
        values["max_label_folders"] = faults["label_folders"]
        values["min_class_images"] = min(class_sizes)
        values["max_class_ratio"] = max(class_sizes) / min(class_sizes)
        values["max_unlabeled"] = health["unlabeled"] / image_count
    if class_sizes and health["splits"]:
        values["max_untrained_classes"] = faults["untrained_classes"]
        values["max_unjudged_classes"] = faults["unjudged_classes"]
    if health["labels"]:
        values["max_suspected"] = health["labels"]["suspected"] / image_count
    return values
