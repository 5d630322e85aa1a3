import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contracts import InputError
from pipeline.storage import review_decisions


def save_review(folder: Path, **sections: Any) -> Path:
    file = folder / "saved.json"
    file.write_text(
        json.dumps({"review": 1, "run_id": "r", "slices": [], "labels": []} | sections),
        encoding="utf-8",
    )
    return file


def test_decisions_accumulate_are_replaced_and_withdrawn(tmp_path: Path) -> None:
    assert review_decisions.read_decisions(tmp_path) == review_decisions.ReviewDecisions()
    assert review_decisions.hash_decisions(tmp_path) == ""
    muted = {"key": "dark", "decision": "muted", "note": "lamp"}
    wrong = {"image_id": "i1", "decision": "wrong", "suggested": "b"}
    review_decisions.apply_review_file(
        tmp_path, save_review(tmp_path, slices=[muted], labels=[wrong])
    )
    one = review_decisions.hash_decisions(tmp_path, "labels")
    review_decisions.apply_review_file(
        tmp_path, save_review(tmp_path, slices=[muted | {"decision": "accepted"}])
    )
    decisions = review_decisions.read_decisions(tmp_path)
    assert decisions.slices["dark"].decision == "accepted"
    assert decisions.labels["i1"].suggested == "b"
    assert review_decisions.hash_decisions(tmp_path, "labels") == one != ""
    review_decisions.apply_review_file(tmp_path, save_review(tmp_path, labels=[{"image_id": "i1"}]))
    assert review_decisions.read_decisions(tmp_path).labels == {}


@pytest.mark.parametrize(
    ("text", "key"),
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
    tmp_path: Path, text: str, key: str
) -> None:
    file = tmp_path / "x.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=key) as caught:
        review_decisions.apply_review_file(tmp_path, file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / review_decisions.REVIEW_FILE_NAME).exists()


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        review_decisions.apply_review_file(tmp_path, tmp_path / "nowhere.json")


def _apply_ten(runs_folder: Path, first: int) -> None:
    for number in range(first, first + 10):
        file = runs_folder.parent / f"saved-{number}.json"
        label = {"image_id": f"i{number}", "decision": "wrong"}
        file.write_text(json.dumps({"review": 1, "run_id": "r", "labels": [label]}))
        review_decisions.apply_review_file(runs_folder, file)


def test_four_reviewers_at_once_lose_no_decision(tmp_path: Path) -> None:
    runs_folder = tmp_path / "runs"
    context = multiprocessing.get_context("spawn")
    processes = []
    for first in range(0, 40, 10):
        processes.append(context.Process(target=_apply_ten, args=(runs_folder, first)))
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len(review_decisions.read_decisions(runs_folder).labels) == 40


@settings(max_examples=100, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["review", "run_id", "labels", "slices", "key"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_a_review_or_one_line_and_changes_nothing_then(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    folder = tmp_path_factory.mktemp("review")
    (folder / "saved.json").write_text(json.dumps(value))
    try:
        review_decisions.apply_review_file(folder / "runs", folder / "saved.json")
    except InputError as error:
        message = str(error)
        assert not (folder / "runs" / "review.json").exists(), message
