"""What a healthy data set must fulfil, and the limits that `nightshift datasets check` judges by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from pipeline.config import StageSettings, resolve_config
from pipeline.data.reading.image_record import NOT_IMAGE_REASON


class HealthLimits(StageSettings):
    """Limits of the check; a condition is a `max_` or `min_`, the others say what counts as what."""

    max_rejected: float = Field(
        0.01, ge=0, le=1, description="share of entries set aside; no image does not count"
    )
    max_cross_split_pairs: int = Field(
        0, ge=0, description="duplicate pairs, exact or near, that lie in two splits"
    )
    max_label_conflicts: int = Field(
        0, ge=0, description="pairs of the same bytes under two labels"
    )
    max_split_groups: int = Field(0, ge=0, description="groups that lie in two splits")
    max_duplicate_ratio: float = Field(
        0.05, ge=0, description="exact duplicate pairs for each image"
    )
    max_class_ratio: float = Field(
        100.0, ge=1, description="images of the largest class for each of the smallest"
    )
    min_class_images: int = Field(20, ge=0, description="images of every class")
    max_unlabeled: float = Field(
        0.0, ge=0, le=1, description="share of images without a label, where any has one"
    )
    max_suspected: float = Field(
        0.05, ge=0, le=1, description="share of images whose label a run suspects"
    )
    near_duplicates: int = Field(
        4, ge=-1, le=16, description="bits (of 64) in which near-duplicates differ; -1: off"
    )
    dark_below: float = Field(
        50.0, description="luminance (0 to 255) under which a image counts as dark"
    )
    bright_above: float = Field(205.0, description="luminance over which a image counts as bright")
    blurred_below: float = Field(
        1.0, description="sharpness (log10) at 128 px under which a image counts as blurred"
    )
    max_aspect_ratio: float = Field(
        4.0, gt=1, description="longer by shorter side over which a size counts as odd"
    )
    small_side_below: int = Field(
        24, ge=0, description="px of a side under which a size counts as odd"
    )


def parse_health_limits(assignments: Iterable[str]) -> HealthLimits:
    """The limits with `KEY=VALUE` laid over the defaults; raises `InputError` for a key or value that is none."""
    settings = resolve_config(
        None, [f"check.{text}" for text in assignments], {"check": HealthLimits}
    ).stages["check"]
    assert isinstance(settings, HealthLimits)
    return settings


def evaluate_limits(health: Mapping[str, Any], limits: HealthLimits) -> list[dict[str, Any]]:
    """Each condition that applies: name, value, limit, passed, words. Without labels those of labels do not apply."""
    images, twins, classes = max(health["images"], 1), health["duplicates"], health["classes"]
    bad = health["rejected"] - health["reasons"].get(NOT_IMAGE_REASON, 0)
    rows: list[tuple[str, float, str]] = [
        ("max_rejected", bad / max(health["seen"], 1), "images that are set aside"),
        ("max_copies", twins["exact"] / images, "exact duplicates"),
    ]
    if health["splits"]:
        rows += [("max_across", twins["across"], "duplicates across splits")]
        rows += [("max_torn", health["leaks"]["torn"], "groups torn between splits")]
    if classes:
        least, most = min(classes.values()), max(classes.values())
        rows += [
            ("max_conflicts", twins["conflicts"], "same image under two labels"),
            ("min_class", least, "images of the smallest class"),
            ("max_imbalance", most / least, "largest class by smallest"),
            ("max_unlabeled", health["unlabeled"] / images, "images without a label"),
        ]
    if health["labels"]:
        rows.append(
            ("max_suspected", health["labels"]["suspected"] / images, "suspected wrong labels")
        )
    judged = []
    for name, value, words in rows:
        limit = float(getattr(limits, name))
        passed = value >= limit if name.startswith("min_") else value <= limit
        share = type(getattr(limits, name)) is float and limit <= 1 and name != "max_imbalance"
        shown = [f"{number:.2%}" if share else f"{number:,.6g}" for number in (value, limit)]
        text = f"{words}: {shown[0]}, {'at least' if name.startswith('min_') else 'at most'} {shown[1]} ({name})"
        judged.append(
            {
                "name": name,
                "value": round(float(value), 6),
                "limit": limit,
                "passed": passed,
                "words": text,
            }
        )
    return judged
