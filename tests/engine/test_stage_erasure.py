"""Erasure from the stages of one run: tests/helpers/fault_cases.py draws it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.engine import stage_erasure
from pipeline.engine.stage_erasure import ErasedImages, erase_from_stages
from pipeline.storage import stage_swaps
from pipeline.storage.artifact_store import RunFolder
from tests.helpers.fault_cases import IDS, PATHS, build_home, find_traces

VICTIM = ErasedImages(frozenset(IDS[:1]), frozenset(PATHS[:1]))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(build_home(tmp_path) / "runs" / "r1")


def _erase(run: RunFolder) -> int:
    with run.hold_lock():
        return erase_from_stages(run, VICTIM)


def test_rows_pixels_notes_and_the_page_of_the_image_are_gone_and_others_stay(
    run: RunFolder,
) -> None:
    assert _erase(run) == 1
    assert list(run.load_artifact("images")["path"]) == PATHS[1:]
    assert run.load_artifact("pixels").shape[0] == 1
    assert not run.load_artifact("pixels").any(), "the row of the other image"
    assert find_traces(run.path) == []
    assert run.read_record("report") is None
    assert all(run.is_intact(stage) for stage in ("ingest", "measure", "promote"))
    assert _erase(run) == 0


def test_an_unknown_image_changes_nothing(run: RunFolder) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.path.glob("*/*")}
    with run.hold_lock():
        assert erase_from_stages(run, ErasedImages(frozenset({"x"}), frozenset({"y"}))) == 0
    assert {path: path.stat().st_mtime_ns for path in run.path.glob("*/*")} == before


def test_a_path_that_may_be_a_class_or_a_number_is_dropped_as_a_path_only(run: RunFolder) -> None:
    """Images of an array are named by their number."""
    with run.hold_lock():
        assert erase_from_stages(run, ErasedImages(frozenset(IDS[:1]), frozenset({"x"}))) == 1
    assert run.load_artifact("classes") == {"names": ["x"]}


def test_a_damaged_stage_leaves_every_stage_as_it_was(run: RunFolder) -> None:
    run.get_artifact_path("attributes").write_bytes(b"cut")
    with pytest.raises(InputError, match=r"attributes\.parquet: cannot be read"):
        _erase(run)
    assert len(run.load_artifact("images")) == 2
    assert not (run.path / stage_swaps.STAGED_FOLDER).exists()


def test_entries_of_json_that_name_an_image_are_dropped() -> None:
    value = {
        "ids": ["a", "b"],
        "a": 1,
        "rows": [{"image_id": "a", "n": 1}, {"image_id": "b", "n": 2}],
        "nested": {"path": "a.png", "n": 3},
        "count": 5,
    }
    assert stage_erasure._drop_json_names(value, frozenset({"a", "a.png"})) == {
        "ids": ["b"],
        "rows": [{"image_id": "b", "n": 2}],
        "nested": {"n": 3},
        "count": 5,
    }
