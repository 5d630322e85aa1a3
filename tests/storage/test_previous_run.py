"""The finished run before this one: pipeline/storage/previous_run.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.storage.artifact_store import SCHEMA_VERSION, RunFolder, write_json
from pipeline.storage.previous_run import find_previous_run

STAGES = ("follow", "report")


def _begin_run(home: Path, day: int, name: str | None = "gate") -> RunFolder:
    run = RunFolder.open_or_create(home / f"{name}-{day}")
    created = f"2026-01-{day:02d} 00:00:00"
    record = {"schema": SCHEMA_VERSION, "created": created, "champion": None}
    write_json(run.path / "run.json", record)
    if name is not None:
        (run.path / "config.yaml").write_text(f"name: {name}\n")
    return run


def _finish_run(run: RunFolder, stages: tuple[str, ...] = STAGES) -> RunFolder:
    for stage in stages:
        record = {"key": run.run_id, "went_in": {}, "notes": [], "seconds": 0.0}
        run.save_stage(stage, {}, record)
    return run


def _find(run: RunFolder) -> str | None:
    previous = find_previous_run(run.path, STAGES, "follow")
    return previous.run_id if previous else None


def test_the_newest_earlier_run_of_the_same_name_is_found(tmp_path: Path) -> None:
    for day in (9, 2):  # the clock was wrong on the first day
        _finish_run(_begin_run(tmp_path, day))
    _finish_run(_begin_run(tmp_path, 3, "door"))
    run = _begin_run(tmp_path, 5)
    _finish_run(_begin_run(tmp_path, 1))
    assert _find(run) == "gate-2"
    assert _find(RunFolder(tmp_path / "gate-9")) is None


@pytest.mark.parametrize("stages", [("follow",), ("report",), ()])
def test_an_unfinished_run_does_not_count(tmp_path: Path, stages: tuple[str, ...]) -> None:
    _finish_run(_begin_run(tmp_path, 1))
    _finish_run(_begin_run(tmp_path, 2), stages)
    assert _find(_begin_run(tmp_path, 5)) == "gate-1"


def test_a_run_without_a_readable_name_has_no_previous_run(tmp_path: Path) -> None:
    _finish_run(_begin_run(tmp_path, 1))
    run = _begin_run(tmp_path, 5)
    (run.path / "config.yaml").unlink()
    assert _find(run) is None


def test_a_run_that_has_not_begun_has_no_previous_run(tmp_path: Path) -> None:
    _finish_run(_begin_run(tmp_path, 1))
    folder = tmp_path / "gate-5"
    folder.mkdir()
    (folder / "config.yaml").write_text("name: gate\n")
    assert find_previous_run(folder, STAGES, "follow") is None
