"""Sentences on faults of the data: pipeline/report/data_fault_sentences.py."""

from __future__ import annotations

import pandas as pd

from pipeline.report.data_fault_sentences import (
    describe_split_differences,
    describe_unjudged_classes,
    describe_untrained_classes,
)

IMAGES = pd.DataFrame(
    {
        "image_id": [f"i{n}" for n in range(8)],
        "label": ["a", "b", "b", "b", "d", "d", "d", "a"],
        "split": ["train", "train", "val", "val", "val", "val", "test", "left_out"],
    }
)


def test_images_of_a_class_that_training_never_saw() -> None:
    is_correct = {"i2": True, "i3": False, "i4": False, "i5": False}
    val, test = describe_untrained_classes(IMAGES, is_correct)
    assert val.startswith("2 validation images belong to a class that training never saw (d)")
    assert "accuracy without them 50" in val
    assert test == "1 test image belongs to a class that training never saw (d)."
    trained = IMAGES.assign(split=["train", "train", "val", "val", *["train"] * 4])
    assert describe_untrained_classes(trained, is_correct) == []


def test_a_class_that_validation_lacks() -> None:
    (line,) = describe_unjudged_classes(IMAGES)
    assert "No validation image is of a:" in line
    assert describe_unjudged_classes(IMAGES[IMAGES["label"] == "b"]) == []


def test_a_gross_difference_between_train_and_val() -> None:
    shares = {"train": {"dark": 0.1, "blurred": 0.0}, "val": {"dark": 0.1, "blurred": 0.325}}
    (line,) = describe_split_differences(shares)
    assert "0.0" in line
    assert "32.5" in line
    assert "blurred" in line
    assert describe_split_differences({**shares, "val": shares["train"]}) == []
    assert describe_split_differences({"train": shares["train"]}) == []
