import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts import InputError
from pipeline.storage import review_decisions


def saved(folder: Path, **parts: Any) -> Path:
    file = folder / "saved.json"
    file.write_text(
        json.dumps({"review": 1, "run_id": "r", "slices": [], "labels": []} | parts),
        encoding="utf-8",
    )
    return file


def test_decisions_add_up_are_replaced_and_taken_back(tmp_path: Path) -> None:
    assert review_decisions.read_decisions(tmp_path) == review_decisions.ReviewDecisions()
    assert review_decisions.hash_decisions(tmp_path) == ""
    muted = {"key": "dark", "decision": "muted", "note": "lamp"}
    wrong = {"image_id": "i1", "decision": "wrong", "suggested": "b"}
    review_decisions.apply_review_file(tmp_path, saved(tmp_path, slices=[muted], labels=[wrong]))
    one = review_decisions.hash_decisions(tmp_path, "labels")
    review_decisions.apply_review_file(
        tmp_path, saved(tmp_path, slices=[muted | {"decision": "accepted"}])
    )
    held = review_decisions.read_decisions(tmp_path)
    assert held.slices["dark"].decision == "accepted"
    assert held.labels["i1"].suggested == "b"
    assert review_decisions.hash_decisions(tmp_path, "labels") == one != ""
    review_decisions.apply_review_file(tmp_path, saved(tmp_path, labels=[{"image_id": "i1"}]))
    assert review_decisions.read_decisions(tmp_path).labels == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "the file"),
        ("[]", "the file"),
        ('{"review": 2, "run_id": "r"}', "review"),
        (
            '{"review": 1, "run_id": "r", "slices": [{"key": "k", "decision": "burn"}]}',
            "slices.0.decision",
        ),
        ('{"review": 1, "run_id": "r", "extra": 1}', "extra"),
    ],
)
def test_a_file_that_no_report_saved_is_refused_in_one_line(
    tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "x.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=says) as refused:
        review_decisions.apply_review_file(tmp_path, file)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / review_decisions.REVIEW_FILE_NAME).exists()


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        review_decisions.apply_review_file(tmp_path, tmp_path / "nowhere.json")
