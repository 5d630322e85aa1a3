"""What a healthy data set must fulfil, and the limits that `nightshift datasets check` judges by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from pipeline.config import Settings, resolve
from pipeline.datasets.photo import NO_IMAGE


class Conditions(Settings):
    """Limits of the check; a condition is a `max_` or `min_`, the others say what counts as what."""

    max_rejected: float = Field(0.01, ge=0, le=1, description="share of entries set aside; no image does not count")
    max_across: int = Field(0, ge=0, description="duplicate pairs, exact or near, that lie in two splits")
    max_conflicts: int = Field(0, ge=0, description="pairs of the same bytes under two labels")
    max_torn: int = Field(0, ge=0, description="groups that lie in two splits")
    max_copies: float = Field(0.05, ge=0, description="exact duplicate pairs for each photo")
    max_imbalance: float = Field(100.0, ge=1, description="photos of the largest class for each of the smallest")
    min_class: int = Field(20, ge=0, description="photos of every class")
    max_unlabelled: float = Field(0.0, ge=0, le=1, description="share of photos without a label, where any has one")
    max_suspected: float = Field(0.05, ge=0, le=1, description="share of photos whose label a run suspects")
    near_duplicates: int = Field(4, ge=-1, le=16, description="bits (of 64) in which near-duplicates differ; -1: off")
    dark_below: float = Field(50.0, description="luminance (0 to 255) under which a photo counts as dark")
    bright_above: float = Field(205.0, description="luminance over which a photo counts as bright")
    blurred_below: float = Field(1.0, description="sharpness (log10) at 128 px under which a photo counts as blurred")
    odd_ratio: float = Field(4.0, gt=1, description="longer by shorter side over which a size counts as odd")
    small_below: int = Field(24, ge=0, description="px of a side under which a size counts as odd")


def conditions(assignments: Iterable[str]) -> Conditions:
    """The limits with `KEY=VALUE` laid over the defaults; raises `InputError` for a key or value that is none."""
    settings = resolve(None, [f"check.{text}" for text in assignments], {"check": Conditions}).stages["check"]
    assert isinstance(settings, Conditions)
    return settings


def judge(found: Mapping[str, Any], limits: Conditions) -> list[dict[str, Any]]:
    """Each condition that applies: name, value, limit, passed, words. Without labels those of labels do not apply."""
    photos, twins, classes = max(found["photos"], 1), found["duplicates"], found["classes"]
    bad = found["rejected"] - found["reasons"].get(NO_IMAGE, 0)
    rows: list[tuple[str, float, str]] = [
        ("max_rejected", bad / max(found["seen"], 1), "photos that are set aside"),
        ("max_copies", twins["exact"] / photos, "exact duplicates"),
    ]
    if found["splits"]:
        rows += [("max_across", twins["across"], "duplicates across splits")]
        rows += [("max_torn", found["leaks"]["torn"], "groups torn between splits")]
    if classes:
        least, most = min(classes.values()), max(classes.values())
        rows += [
            ("max_conflicts", twins["conflicts"], "same photo under two labels"),
            ("min_class", least, "photos of the smallest class"),
            ("max_imbalance", most / least, "largest class by smallest"),
            ("max_unlabelled", found["unlabelled"] / photos, "photos without a label"),
        ]
    if found["labels"]:
        rows.append(("max_suspected", found["labels"]["suspected"] / photos, "suspected wrong labels"))
    judged = []
    for name, value, words in rows:
        limit = float(getattr(limits, name))
        passed = value >= limit if name.startswith("min_") else value <= limit
        share = type(getattr(limits, name)) is float and limit <= 1 and name != "max_imbalance"
        shown = [f"{number:.2%}" if share else f"{number:,.6g}" for number in (value, limit)]
        text = f"{words}: {shown[0]}, {'at least' if name.startswith('min_') else 'at most'} {shown[1]} ({name})"
        judged.append({"name": name, "value": round(float(value), 6), "limit": limit, "passed": passed, "words": text})
    return judged
