"""Sentences on label batches and the evidence of their labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def describe_label_batch(counts: Mapping[str, int]) -> list[str]:
    """Return sentences on a batch to label.

    Args:
        counts: see `write_label_batch`.
    """
    lines = [
        f"{counts['images']:,} images: the models disagree on {counts['disagreements']:,}, "
        f"{counts['inside']:,} of them inside the planned slices",
        f"{counts['labels']:,} images to label; where the models agree, no label is needed for "
        "the gain",
    ]
    if counts["unreadable"]:
        lines.append(f"{counts['unreadable']:,} images cannot be read")
    return lines


def describe_label_evidence(evidence: Mapping[str, Any]) -> list[str]:
    """Return sentences on what the labels of a batch show.

    Args:
        evidence: see `apply_label_batch`.
    """
    lines = [f"{evidence['labels']:,} of {evidence['drawn']:,} labels came back"]
    titles = {"gain": "gain on all images", "gain_inside": "gain inside the planned slices"}
    for name, title in titles.items():
        lines.append(f"{title}: {_format_interval(evidence[name], '+.1f', ' points')}")
    for name in ("challenger", "incumbent"):
        title = {"challenger": "challenger", "incumbent": "model before"}[name]
        lines.append(f"accuracy of the {title}: {_format_interval(evidence[name], '.1f', ' %')}")
    if evidence["recorded"]:
        lines.append(
            "recorded; to judge the challenger by all that arrived: "
            f"nightshift stage promote --run {evidence['run_id']}"
        )
    else:
        lines.append(
            f"not recorded: run {evidence['run_id']} is not in this folder of runs (--runs)"
        )
    return lines


def _format_interval(record: Mapping[str, Any], form: str, unit: str) -> str:
    """Return a share with its interval, such as `+2.0 points (+0.5 to +3.5)`."""
    if record["value"] is None:
        return "unknown: no image"
    text = format(100 * record["value"], form) + unit
    if record["low"] is None:
        return f"{text} (one group: no interval)"
    low, high = (format(100 * record[end], form) for end in ("low", "high"))
    return f"{text} ({low} to {high}, 95 %)"
