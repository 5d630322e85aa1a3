import json
import multiprocessing
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
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
    with pytest.raises(InputError, match="no such file"):
        review_decisions.apply_review_file(tmp_path, tmp_path / "nowhere.json")


def test_a_class_that_the_run_does_not_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r" / "ingest").mkdir(parents=True)
    (tmp_path / "r" / "ingest" / "classes.json").write_text('{"names": ["badge", "none"]}')
    known = {"image_id": "i", "decision": "wrong", "suggested": "none"}
    review_decisions.apply_review_file(tmp_path, save_review(tmp_path, labels=[known]))
    unknown = save_review(tmp_path, labels=[known | {"suggested": "\x1b[2Jbanana"}])
    with pytest.raises(InputError, match="is no class of r; there are: badge, none") as caught:
        review_decisions.apply_review_file(tmp_path, unknown)
    assert "\x1b" not in str(caught.value)
    assert review_decisions.read_decisions(tmp_path).labels["i"].suggested == "none"


@pytest.mark.parametrize("run_id", ["..", "", "a/b", "\x1b[31m", "/tmp", "a\n", ".hidden"])
def test_a_run_id_that_is_no_plain_name_is_refused(run_id: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run_id"):
        review_decisions.apply_review_file(tmp_path, save_review(tmp_path, run_id=run_id))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
)


@given(slices=_JSON, labels=_JSON, extra=st.dictionaries(st.text(max_size=6), _JSON, max_size=2))
def test_any_file_is_applied_or_one_line(
    slices: Any, labels: Any, extra: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("review")
    with suppress(InputError):  # any other error is a defect
        review_decisions.apply_review_file(
            folder, save_review(folder, slices=slices, labels=labels, **extra)
        )
    review_decisions.read_decisions(folder)


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
