import json
from typing import Any

import pandas as pd
import pytest

from pipeline.domain.statuses import ClassSliceKind
from pipeline.report.sentences.plain.class_lines import (
    add_class_sentences,
    describe_class_confusion,
    describe_class_remedy,
    describe_classes,
)


def make_finding(**changed: Any) -> dict[str, Any]:
    finding = {
        "kind": ClassSliceKind.CLASS,
        "classes": json.dumps(["lanyard"]),
        "n": 1_200,
        "groups": 90,
        "failures": 1_010,
        "error": 0.84,
        "expected": 0.11,
        "recoverable": 876.0,
        "family_p": 0.002,
        "training_images": 1_040,
        "usual_training_images": 2_600,
        "confused_label": "lanyard",
        "confused_prediction": "badge",
        "confused_failures": 1_005,
    }
    return finding | changed


def test_many_classes_are_counted_and_not_all_listed() -> None:
    names = [f"c{k}" for k in range(9)]
    tail = make_finding(kind=ClassSliceKind.LONG_TAIL, classes=json.dumps(names))
    text = describe_classes(tail)
    assert "9 classes" in text
    assert "c5 and 3 more" in text
    assert "c6" not in text


@pytest.mark.parametrize("training_images", [1_040, 2_500])
def test_the_remedy_holds_both_counts_and_the_confusion(training_images: int) -> None:
    text = describe_class_remedy(make_finding(training_images=training_images))
    assert f"{training_images:,}" in text
    assert "2,600" in text
    assert "lanyard that resembles badge" in text
    assert ("is not rare" in text) == (training_images == 2_500)


def test_nothing_is_said_of_unknown_counts_and_confusions() -> None:
    finding = make_finding(training_images=pd.NA, confused_failures=0)
    assert describe_class_confusion(finding) == ""
    assert not any(character.isdigit() for character in describe_class_remedy(finding))
    assert "1,005 of 1,010" in describe_class_confusion(make_finding())


def test_the_export_has_subject_and_remedy_even_without_findings() -> None:
    table = add_class_sentences(pd.DataFrame([make_finding()]))
    assert table["subject"].tolist() == ["class lanyard"]
    assert add_class_sentences(table.iloc[:0])["look_for"].tolist() == []
