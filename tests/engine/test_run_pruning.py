import fcntl
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.contracts import InputError
from pipeline.engine import published_pages
from pipeline.engine.run_pruning import explain_protected_runs, prune_runs, set_pinned
from pipeline.storage import artifact_store, champion_registry
from pipeline.storage.artifact_store import RunFolder
from tests.storage.test_artifact_store import OUTPUTS

RUNNER = CliRunner()


def _make_runs(folder: Path, count: int = 6) -> list[RunFolder]:
    """Return runs r0 (oldest) to r5, each with a report."""
    runs = []
    for n in range(count):
        run = RunFolder.open_or_create(folder / "runs" / f"r{n}")
        artifact_store.write_json(
            run.path / "run.json",
            {"schema": artifact_store.SCHEMA_VERSION, "created": f"2026-01-0{n + 1} 00:00:00"},
        )
        (run.path / "config.yaml").write_text(f"name: x\nreports: {folder / 'reports'}\n")
        _publish_page(folder, run.run_id)
        runs.append(run)
    published_pages.register_reports_folder(folder / "runs", folder / "reports")
    return runs


def _publish_page(folder: Path, run_id: str) -> Path:
    page = folder / "reports" / run_id
    page.mkdir(parents=True)
    (page / "index.html").write_text("a page")
    (page / "summary.json").write_text(json.dumps({"run_id": run_id}))
    return page


def _write_pointer(home: Path, pointer: dict[str, Any], name: str = "x") -> None:
    (home / "champions").mkdir(exist_ok=True)
    artifact_store.write_json(home / "champions" / f"{name}.json", pointer)


def _list_run_ids(home: Path) -> list[str]:
    return sorted(r.run_id for r in artifact_store.list_runs(home))


def test_old_runs_are_removed_with_their_reports_except_champion_and_pinned(tmp_path: Path) -> None:
    home = tmp_path / "runs"
    _make_runs(tmp_path)
    _write_pointer(home, {"run_id": "r0", "bundle": "runs/r0/promote/bundle"})
    call = ["--runs", str(home)]
    assert RUNNER.invoke(app, ["runs", "pin", "r2", *call]).exit_code == 0
    dry = RUNNER.invoke(app, ["runs", "prune", "--keep", "2", "--dry-run", *call])
    assert dry.stdout.splitlines() == ["r3: would be removed", "r1: would be removed"]
    assert len(_list_run_ids(home)) == 6
    done = RUNNER.invoke(app, ["runs", "prune", "--keep", "2", *call])
    assert done.stdout.splitlines() == ["r3: removed", "r1: removed"]
    assert _list_run_ids(home) == ["r0", "r2", "r4", "r5"]
    assert sorted(p.name for p in (tmp_path / "reports").glob("[!.]*")) == [
        "index.html",
        "r0",
        "r2",
        "r4",
        "r5",
    ]
    assert explain_protected_runs(home) == {"r0": "champion", "r2": "pinned"}
    assert RUNNER.invoke(app, ["runs", "unpin", "r2", *call]).exit_code == 0
    assert list(prune_runs(home, 0)) == ["r5", "r4", "r2"]
    listed = json.loads(RUNNER.invoke(app, ["runs", "list", "--json", *call]).stdout)
    assert [(row["run"], row["kept"]) for row in listed] == [("r0", "champion")]


def test_all_runs_of_a_pointers_history_are_kept_and_a_damaged_pointer_removes_nothing(
    tmp_path: Path,
) -> None:
    home = tmp_path / "runs"
    _make_runs(tmp_path)
    past = [{"run_id": "r1"}, {"bundle": "runs/r3/promote/bundle"}]
    _write_pointer(home, {"run_id": "r0", "history": past})
    assert list(prune_runs(home, 1, dry_run=True)) == ["r4", "r2"]
    (home / "champions" / "x.json").write_text('{"run_id": "r')
    with pytest.raises(InputError, match=r"x\.json: cannot be read"):
        list(prune_runs(home, 1))
    assert len(_list_run_ids(home)) == 6


def test_the_starting_champion_of_an_unfinished_run_is_kept(tmp_path: Path) -> None:
    home = tmp_path / "runs"
    runs = _make_runs(tmp_path)
    _write_pointer(home, {"run_id": "r5", "bundle": "runs/r5/promote/bundle"})
    record = artifact_store.read_json(runs[4].path / "run.json")
    pointer = {
        "run_id": "r1",
        "bundle": "runs/r1/promote/bundle",
    }  # in force when r4 began, rolled back since
    artifact_store.write_json(runs[4].path / "run.json", {**record, "champion": pointer})
    for run in runs[:4]:
        artifact_store.write_json(
            run.path / "run.json",
            {**artifact_store.read_json(run.path / "run.json"), "champion": None},
        )
    assert explain_protected_runs(home) == {"r1": "needed", "r5": "champion"}
    assert list(prune_runs(home, 2, dry_run=True)) == ["r3", "r2", "r0"]
    runs[4].save_stage("report", {}, {})
    assert list(prune_runs(home, 2)) == ["r3", "r2", "r1", "r0"]


def test_the_champions_of_all_configs_and_of_version_0_1_are_kept(tmp_path: Path) -> None:
    home = tmp_path / "runs"
    runs = _make_runs(tmp_path)
    for run in runs:
        artifact_store.write_json(
            run.path / "run.json",
            {**artifact_store.read_json(run.path / "run.json"), "champion": None},
        )
    _write_pointer(home, {"run_id": "r0"})
    _write_pointer(home, {"run_id": "r1"}, "y")
    artifact_store.write_json(home / "champion.json", {"run_id": "r2"})
    assert explain_protected_runs(home) == dict.fromkeys(("r0", "r1", "r2"), "champion")


def test_a_linked_stage_survives_the_removal_of_its_run(tmp_path: Path) -> None:
    old, new, *_ = _make_runs(tmp_path)
    old.save_stage("ingest", OUTPUTS, {"key": "k", "went_in": {}, "notes": [], "seconds": 1.0})
    new.link_stage("ingest", old)
    assert "r0" in list(prune_runs(tmp_path / "runs", 5))
    assert not old.path.exists()
    assert new.is_intact("ingest")
    assert (new.load_artifact("pixels") == OUTPUTS["pixels"]).all()


def test_a_run_at_work_is_skipped_and_a_killed_prune_is_completed(tmp_path: Path) -> None:
    old, *_ = _make_runs(tmp_path)
    leftover = tmp_path / "runs" / ".pruned-r9"
    (leftover / "ingest").mkdir(parents=True)
    with (old.path / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert list(prune_runs(tmp_path / "runs", 4)) == ["r1"]
    assert not leftover.exists()
    assert list(prune_runs(tmp_path / "runs", 4)) == ["r0"]


def test_a_missing_folder_of_runs_is_empty(tmp_path: Path) -> None:
    assert list(prune_runs(tmp_path / "none", 3)) == []
    set_pinned(RunFolder.open_or_create(tmp_path / "r"), False)


def test_a_run_that_becomes_champion_or_pinned_meanwhile_is_kept(tmp_path: Path) -> None:
    home = tmp_path / "runs"
    _make_runs(tmp_path)
    removed = prune_runs(home, 1)
    assert next(removed) == "r4"
    _write_pointer(home, {"run_id": "r3", "bundle": "runs/r3/promote/bundle"})
    set_pinned(RunFolder(home / "r2"), True)
    assert list(removed) == ["r1", "r0"]
    assert _list_run_ids(home) == ["r2", "r3", "r5"]


def test_a_run_that_was_removed_cannot_be_pinned_or_promoted(tmp_path: Path) -> None:
    run = _make_runs(tmp_path)[0]
    assert list(prune_runs(tmp_path / "runs", 5)) == ["r0"]
    with pytest.raises(InputError, match="another process removed this run"):
        set_pinned(run, True)
    with pytest.raises(InputError):
        champion_registry.promote_run(tmp_path / "runs", run)
    assert champion_registry.read_pointer(tmp_path / "runs", "x") is None


def test_the_config_in_a_run_decides_no_deletion(tmp_path: Path) -> None:
    home, precious = tmp_path / "runs", tmp_path / "elsewhere" / "r0"
    run = _make_runs(tmp_path)[0]
    precious.mkdir(parents=True)
    (precious / "index.html").write_text("mine")
    (run.path / "config.yaml").write_text(f"name: x\nreports: {precious.parent}\n")
    assert list(prune_runs(home, 5)) == ["r0"]
    assert (precious / "index.html").read_text() == "mine"
    assert not (tmp_path / "reports" / "r0").exists(), "the page that it published"


def test_links_and_runs_with_foreign_files_are_skipped_with_a_line(tmp_path: Path) -> None:
    home, lines = tmp_path / "runs", []
    runs = _make_runs(tmp_path)
    (runs[0].path / "notes.txt").write_text("mine")
    runs[1].path.rename(tmp_path / "moved")
    runs[1].path.symlink_to(tmp_path / "moved")
    assert list(prune_runs(home, 4, log=lines.append)) == []
    assert "holds notes.txt" in lines[1]
    assert "a symbolic link" in lines[0]
    assert (tmp_path / "moved" / "run.json").exists()
    assert not list(home.glob(".pruned-*"))


def test_one_odd_run_stops_neither_the_list_nor_the_prune(tmp_path: Path) -> None:
    home = tmp_path / "runs"
    runs = _make_runs(tmp_path)
    (runs[2].path / "run.json").write_text("[]")
    runs[1].save_stage("report", {"summary": {"slices": 3, "verdict": []}}, {})
    listed = RUNNER.invoke(app, ["runs", "list", "--json", "--runs", str(home)])
    assert listed.exit_code == 0, listed.output
    assert [row["run"] for row in json.loads(listed.stdout)] == ["r5", "r4", "r3", "r0"]
    lines: list[str] = []
    assert list(prune_runs(home, 2, log=lines.append)) == ["r3", "r1", "r0"]
    (line,) = lines
    assert "r2/run.json" in line
    assert runs[2].path.is_dir()


def test_a_prune_that_was_killed_leaves_no_page(tmp_path: Path) -> None:
    home = tmp_path / "runs"
    runs = _make_runs(tmp_path)
    runs[0].path.rename(home / ".pruned-r0")  # the kill came just after the first rename
    assert list(prune_runs(home, 6)) == []
    assert not (tmp_path / "reports" / "r0").exists()
    assert not (home / ".pruned-r0").exists()
