"""The sentences about whole classes that fail more often than the others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.domain.statuses import ClassSliceKind

MAX_LISTED_CLASSES = 6
# Share of the usual number of training images below which a class is called rare.
RARE_SHARE = 0.5


def describe_classes(finding: Mapping[Any, Any]) -> str:
    """Return the classes of a finding.

    Args:
        finding: a row of `class_slices`.

    >>> describe_classes({"kind": "class", "classes": '["badge"]'})
    'class badge'
    >>> describe_classes({"kind": "long tail", "classes": '["a", "b"]'})
    'the long tail of 2 classes: a, b'
    """
    names = json.loads(finding["classes"])
    if finding["kind"] == ClassSliceKind.CLASS:
        return f"class {names[0]}"
    listed = ", ".join(names[:MAX_LISTED_CLASSES])
    if len(names) > MAX_LISTED_CLASSES:
        listed += f" and {len(names) - MAX_LISTED_CLASSES} more"
    return f"the long tail of {len(names)} classes: {listed}"


def describe_class_confusion(finding: Mapping[Any, Any]) -> str:
    """Return the most frequent confusion of a finding, or an empty text if nothing failed.

    Args:
        finding: a row of `class_slices`.
    """
    if not finding["confused_failures"]:
        return ""
    return (
        f"{finding['confused_failures']:,} of {finding['failures']:,} failures are "
        f"{finding['confused_label']} predicted as {finding['confused_prediction']}"
    )


def add_class_sentences(class_slices: pd.DataFrame) -> pd.DataFrame:
    """Return `class_slices` with the columns `subject` and `look_for`."""
    rows = class_slices.to_dict("records")
    return class_slices.assign(
        subject=pd.Series(map(describe_classes, rows), class_slices.index, dtype="str"),
        look_for=pd.Series(map(describe_class_remedy, rows), class_slices.index, dtype="str"),
    )


def describe_class_remedy(finding: Mapping[Any, Any]) -> str:
    """Return what to do about a finding.

    Args:
        finding: a row of `class_slices`.
    """
    own, usual = finding["training_images"], finding["usual_training_images"]
    pair = ""
    if finding["confused_failures"]:
        pair = f", above all {finding['confused_label']} that resembles "
        pair += str(finding["confused_prediction"])
    if own is None or pd.isna(own):
        return f"collect more images of it{pair}"
    counts = f"{own:,} training images, {usual:,} are usual for the other classes"
    if finding["kind"] == ClassSliceKind.LONG_TAIL:
        return f"collect images until each has as many as usual ({counts} on average){pair}"
    if own < RARE_SHARE * usual:
        return f"collect images until it has as many as usual ({counts}){pair}"
    return f"collect more images of it{pair}: it is not rare ({counts})"
