from pathlib import Path

import pytest

from pipeline.storage import stage_swaps
from pipeline.storage.artifact_store import RunFolder
from pipeline.storage.atomic_files import write_json
from pipeline.storage.stage_swaps import STAGED_FOLDER, commit_staged_stages, swap_stage


def _write_stage(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    write_json(folder / "stage.json", {"key": version})
    return folder


def _read_version(run: RunFolder, stage: str = "ingest") -> str:
    return str((run.read_record(stage) or {})["key"])


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder.open_or_create(tmp_path / "run")
    for stage in ("ingest", "measure"):
        _write_stage(run.path / stage, "old")
    return run


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_stage_is_replaced_as_a_whole(
    run: RunFolder, can_exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can_exchange:
        monkeypatch.setattr(stage_swaps, "_exchange_names", lambda *_: False)
    swap_stage(run.path, _write_stage(run.path / ".tmp-ingest", "new"), "ingest")
    assert _read_version(run) == "new"
    assert not list(run.path.glob(".old-*")) + list(run.path.glob(".tmp-*"))


def test_a_stage_that_a_kill_left_aside_is_put_back_by_the_next_holder(run: RunFolder) -> None:
    (run.path / "ingest").rename(run.path / ".old-ingest")
    with run.hold_lock():
        assert _read_version(run) == "old"
    assert not (run.path / ".old-ingest").exists()


def test_staged_stages_are_discarded_before_they_are_complete(run: RunFolder) -> None:
    _write_stage(run.path / STAGED_FOLDER / "ingest", "new")
    with run.hold_lock():
        assert _read_version(run) == "old"
    assert not (run.path / STAGED_FOLDER).exists()


@pytest.mark.parametrize("swaps_before", [0, 1, 2])
def test_complete_staged_stages_are_all_put_into_place_after_a_kill(
    run: RunFolder, swaps_before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in ("ingest", "measure"):
        _write_stage(run.path / STAGED_FOLDER / stage, "new")
    exchange, calls = stage_swaps._exchange_names, []

    def be_killed(first: Path, second: Path) -> bool:
        if len(calls) == swaps_before:
            raise KeyboardInterrupt
        calls.append(first)
        exchange(first, second)
        if len(calls) == swaps_before:
            raise KeyboardInterrupt  # just after the exchange: the old one is among the staged
        return True

    monkeypatch.setattr(stage_swaps, "_exchange_names", be_killed)
    with pytest.raises(KeyboardInterrupt):
        commit_staged_stages(run.path)
    monkeypatch.undo()
    with run.hold_lock():
        assert [_read_version(run, stage) for stage in ("ingest", "measure")] == ["new", "new"]
    assert not (run.path / STAGED_FOLDER).exists()
