"""Sentences on faults of the data that make the figures of a run untrue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from pipeline.report.sentences.number_format import format_count, format_percent

LISTED_CLASSES = 5
"""Classes that one sentence lists by name; data sets may have hundreds."""
MIN_SPLIT_IMAGES = 20
"""Images of a split from which its shares are compared."""
GROSS_DIFFERENCE = 0.25
"""Difference of shares between train and validation that the verdict mentions."""
SPLIT_NAMES = {"val": "validation", "test": "test"}


def describe_untrained_classes(images: pd.DataFrame, is_correct: Mapping[str, bool]) -> list[str]:
    """Return a sentence for val and test on the images whose class training never saw.

    Args:
        images: image_id, label and split.
        is_correct: whether the model in question is right, by image_id of validation images.
    """
    labeled = images.dropna(subset=["label", "split"])
    trained = set(labeled.loc[labeled["split"] == "train", "label"])
    if not trained:  # the model was trained elsewhere
        return []
    sentences = []
    for split, title in SPLIT_NAMES.items():
        members = labeled[labeled["split"] == split]
        is_unseen = ~members["label"].isin(trained)
        if not is_unseen.any():
            continue
        count = int(is_unseen.sum())
        names = sorted(set(members.loc[is_unseen, "label"]))
        known = [is_correct[i] for i in members.loc[~is_unseen, "image_id"] if i in is_correct]
        rest = ""
        if known and split == "val":
            rest = f"; accuracy without them {format_percent(sum(known) / len(known))}"
        noun = format_count(count, f"{title} image belongs", f"{title} images belong")
        class_word = "a class" if len(names) == 1 else "classes"
        sentences.append(
            f"{noun} to {class_word} that training never saw ({_list_names(names)}){rest}."
        )
    return sentences


def describe_unjudged_classes(images: pd.DataFrame) -> list[str]:
    """Return a sentence on the classes of train that validation lacks.

    Args:
        images: label and split.
    """
    labeled = images.dropna(subset=["label", "split"])
    val = set(labeled.loc[labeled["split"] == "val", "label"])
    names = sorted(set(labeled.loc[labeled["split"] == "train", "label"]) - val)
    if not val or not names:
        return []
    return [f"No validation image is of {_list_names(names)}: no figure here says how it does."]


def describe_split_differences(shares: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return a sentence on the mark whose share differs grossly between train and validation.

    Args:
        shares: shares by split and mark, such as blurred.
    """
    train, val = shares.get("train"), shares.get("val")
    if not train or not val:
        return []
    mark = max(train, key=lambda name: abs(train[name] - val[name]))
    if abs(train[mark] - val[mark]) < GROSS_DIFFERENCE:
        return []
    return [
        f"{format_percent(train[mark])} of the training images are {mark}, "
        f"{format_percent(val[mark])} of the validation images: the figures are of other images "
        "than the model has learned from."
    ]


def _list_names(names: Sequence[str]) -> str:
    listed = ", ".join(names[:LISTED_CLASSES])
    more = len(names) - LISTED_CLASSES
    return f"{listed} and {more} more" if more > 0 else listed
