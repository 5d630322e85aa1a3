import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contracts import InputError
from pipeline.storage.artifact_store import RunFolder, list_runs, scan_runs
from pipeline.storage.run_record import (
    SCHEMA_VERSION,
    SEQUENCE_FILE,
    check_run_id,
    list_foreign_entries,
    read_run_record,
    read_sequence,
    read_stage_record,
)

RECORD = {"schema": SCHEMA_VERSION, "created": "2026-01-01T00:00:00+00:00"}
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "a/b", "a b", "a\n", "a\0", "é", "x" * 201, "--", "a\\b"]
)
def test_only_plain_names_are_run_ids(name: str) -> None:
    if name == "--":
        check_run_id(name, name)
        return
    with pytest.raises(InputError, match="not the name of a run"):
        check_run_id(name, name)


@pytest.mark.parametrize("name", ["..", ".", ".x"])
def test_no_run_is_made_or_opened_under_another_name(tmp_path: Path, name: str) -> None:
    inner = tmp_path / "runs" / "inner"
    inner.mkdir(parents=True)
    for open_run in (RunFolder.open_or_create, RunFolder.open_existing):
        with pytest.raises(InputError):
            open_run(inner / name if name != "." else Path("."))
    assert not list(tmp_path.rglob("run.json"))


def test_a_folder_that_holds_something_else_does_not_become_a_run(tmp_path: Path) -> None:
    RunFolder.open_or_create(tmp_path / "runs" / "a")
    with pytest.raises(InputError, match="no run, and not empty"):
        RunFolder.open_or_create(tmp_path / "runs")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / SEQUENCE_FILE).write_text("7\n")
    assert RunFolder.open_or_create(tmp_path / "begun").run_id == "begun"


@pytest.mark.parametrize(
    "text",
    [
        *("[]", "{}", "null", "3", '"x"', "", "{", "[" * 50_000),
        json.dumps(RECORD | {"created": 5}),
        json.dumps(RECORD | {"name": ["x"]}),
        json.dumps(RECORD | {"champion": [1]}),
        json.dumps(RECORD | {"schema": {"a": 1}}),
    ],
)
def test_an_odd_record_is_skipped_and_named_and_hides_no_other_run(
    tmp_path: Path, text: str
) -> None:
    good = RunFolder.open_or_create(tmp_path / "good")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "run.json").write_text(text)
    runs, problems = scan_runs(tmp_path)
    assert runs == [good]
    (problem,) = problems
    assert "/odd" in problem
    assert "\n" not in problem


@settings(max_examples=50, deadline=None)
@given(value=ANY_JSON)
def test_any_json_is_a_record_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    folder = tmp_path_factory.mktemp("run")
    (folder / "ingest").mkdir()
    for path in (folder / "run.json", folder / "ingest" / "stage.json"):
        path.write_text(json.dumps(value))
    with suppress(InputError):
        read_run_record(folder)
    with suppress(InputError):
        read_stage_record(folder, "ingest")


def test_a_stage_record_names_only_artifacts_of_its_stage(tmp_path: Path) -> None:
    (tmp_path / "ingest").mkdir()
    record = {"key": "k", "artifacts": {"../../x": "hash"}}
    (tmp_path / "ingest" / "stage.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="is no artifact of stage ingest"):
        read_stage_record(tmp_path, "ingest")


def test_runs_are_in_the_order_of_their_beginning_whatever_the_clocks_said(tmp_path: Path) -> None:
    for name, created in (
        ("b", "2199-01-01"),
        ("c", "2026-10-25T02:30"),
        ("a", "2026-10-25T02:10"),
    ):
        run = RunFolder.open_or_create(tmp_path / name)
        (run.path / "run.json").write_text(json.dumps(RECORD | {"created": created}))
    assert [run.run_id for run in list_runs(tmp_path)] == ["a", "c", "b"]


def test_a_run_without_a_number_is_older_than_those_with_one(tmp_path: Path) -> None:
    for name in ("a", "b"):
        RunFolder.open_or_create(tmp_path / name)
    for text in ("", "x", "-1", "9" * 16, "१"):
        (tmp_path / "b" / SEQUENCE_FILE).write_text(text)
        assert read_sequence(tmp_path / "b") == 0
    assert [run.run_id for run in list_runs(tmp_path)] == ["a", "b"]


def test_foreign_entries_are_those_that_no_run_writes(tmp_path: Path) -> None:
    run = RunFolder.open_or_create(tmp_path / "a")
    run.prepare_scratch("train", "k" * 12)
    with run.hold_lock():
        assert list_foreign_entries(run.path) == []
    (run.path / "notes.txt").touch()
    (run.path / "ingest").symlink_to(tmp_path)
    assert list_foreign_entries(run.path) == ["ingest", "notes.txt"]


def test_an_empty_run_with_a_foreign_file_is_not_discarded(tmp_path: Path) -> None:
    run = RunFolder.open_or_create(tmp_path / "a")
    (run.path / "notes.txt").write_text("mine")
    run.discard_if_empty()
    assert (run.path / "notes.txt").read_text() == "mine"
