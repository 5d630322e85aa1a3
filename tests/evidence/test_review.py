import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts import InputError
from pipeline.evidence import review


def saved(folder: Path, **parts: Any) -> Path:
    file = folder / "saved.json"
    file.write_text(json.dumps({"review": 1, "run_id": "r", "slices": [], "labels": []} | parts), encoding="utf-8")
    return file


def test_a_slice_is_known_again_by_its_rule_without_the_numbers() -> None:
    first = review.slice_key("luminance <= 62.4 and hour from 20.5 to 5.5")
    assert first == review.slice_key("luminance <= 58 and hour from 21 to 4.75")
    assert first != review.slice_key("luminance >= 62.4 and hour from 20.5 to 5.5")
    assert review.slice_key("near 00a1b2c3d4e5f607") == review.slice_key("near ffa1b2c3d4e5f607")
    alike = "looks like photo 00a1b2c3d4e5f607"
    assert review.slice_key(f"{alike} (in numbers: hour > 21: 9 % of the others), class (a)") == review.slice_key(
        f"{alike}, class (a)"
    )
    assert review.slice_key("gate is gate-2") != review.slice_key("gate is gate-1")


def test_decisions_add_up_are_replaced_and_taken_back(tmp_path: Path) -> None:
    assert review.read(tmp_path) == review.Reviews()
    assert review.digest(tmp_path) == ""
    muted = {"key": "dark", "decision": "muted", "note": "lamp"}
    wrong = {"image_id": "i1", "decision": "wrong", "suggested": "b"}
    review.apply(tmp_path, saved(tmp_path, slices=[muted], labels=[wrong]))
    one = review.digest(tmp_path, "labels")
    review.apply(tmp_path, saved(tmp_path, slices=[muted | {"decision": "accepted"}]))
    held = review.read(tmp_path)
    assert held.slices["dark"].decision == "accepted"
    assert held.labels["i1"].suggested == "b"
    assert review.digest(tmp_path, "labels") == one != ""
    review.apply(tmp_path, saved(tmp_path, labels=[{"image_id": "i1"}]))
    assert review.read(tmp_path).labels == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "the file"),
        ("[]", "the file"),
        ('{"review": 2, "run_id": "r"}', "review"),
        ('{"review": 1, "run_id": "r", "slices": [{"key": "k", "decision": "burn"}]}', "slices.0.decision"),
        ('{"review": 1, "run_id": "r", "extra": 1}', "extra"),
    ],
)
def test_a_file_that_no_report_saved_is_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=says) as refused:
        review.apply(tmp_path, file)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / review.FILE).exists()


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        review.apply(tmp_path, tmp_path / "nowhere.json")
