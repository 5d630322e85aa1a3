import fcntl
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.contracts import InputError
from pipeline.engine.run_pruning import explain_protected_runs, prune_runs, set_pinned
from pipeline.storage import artifact_store
from pipeline.storage.artifact_store import RunFolder
from tests.storage.test_artifact_store import MADE

RUNNER = CliRunner()


def _home(folder: Path, count: int = 6) -> list[RunFolder]:
    """Runs r0 (oldest) to r5, each with a report."""
    made = []
    for n in range(count):
        run = RunFolder.open_or_create(folder / "runs" / f"r{n}")
        artifact_store.write_json(
            run.path / "run.json",
            {"schema": artifact_store.SCHEMA_VERSION, "created": f"2026-01-0{n + 1} 00:00:00"},
        )
        (run.path / "config.yaml").write_text(f"name: x\nreports: {folder / 'reports'}\n")
        (folder / "reports" / run.run_id).mkdir(parents=True)
        made.append(run)
    return made


def _point(home: Path, pointer: dict[str, Any], name: str = "x") -> None:
    (home / "champions").mkdir(exist_ok=True)
    artifact_store.write_json(home / "champions" / f"{name}.json", pointer)


def _names(home: Path) -> list[str]:
    return sorted(r.run_id for r in artifact_store.list_runs(home))


def test_old_runs_go_with_their_reports_and_champion_and_pinned_stay(tmp_path: Path) -> None:
    home = tmp_path / "runs"
    _home(tmp_path)
    _point(home, {"run_id": "r0", "bundle": "runs/r0/promote/bundle"})
    call = ["--runs", str(home)]
    assert RUNNER.invoke(app, ["runs", "pin", "r2", *call]).exit_code == 0
    dry = RUNNER.invoke(app, ["runs", "prune", "--keep", "2", "--dry-run", *call])
    assert dry.stdout.splitlines() == ["r3: would be removed", "r1: would be removed"]
    assert len(_names(home)) == 6
    done = RUNNER.invoke(app, ["runs", "prune", "--keep", "2", *call])
    assert done.stdout.splitlines() == ["r3: removed", "r1: removed"]
    assert _names(home) == ["r0", "r2", "r4", "r5"]
    assert sorted(p.name for p in (tmp_path / "reports").iterdir()) == [
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


def test_a_pointer_with_a_history_keeps_all_it_names_and_a_damaged_one_everything(
    tmp_path: Path,
) -> None:
    home = tmp_path / "runs"
    _home(tmp_path)
    past = [{"run_id": "r1"}, {"bundle": "runs/r3/promote/bundle"}]
    _point(home, {"run_id": "r0", "history": past})
    assert list(prune_runs(home, 1, dry_run=True)) == ["r4", "r2"]
    (home / "champions" / "x.json").write_text('{"run_id": "r')
    with pytest.raises(InputError, match=r"x\.json: cannot be read"):
        list(prune_runs(home, 1))
    assert len(_names(home)) == 6


def test_the_champion_of_a_run_that_may_go_on_is_kept_until_that_one_has_ended(
    tmp_path: Path,
) -> None:
    home = tmp_path / "runs"
    made = _home(tmp_path)
    _point(home, {"run_id": "r5", "bundle": "runs/r5/promote/bundle"})
    record = artifact_store.read_json(made[4].path / "run.json")
    taken = {
        "run_id": "r1",
        "bundle": "runs/r1/promote/bundle",
    }  # in force when r4 began, and rolled away since
    artifact_store.write_json(made[4].path / "run.json", {**record, "champion": taken})
    for run in made[:4]:
        artifact_store.write_json(
            run.path / "run.json",
            {**artifact_store.read_json(run.path / "run.json"), "champion": None},
        )
    assert explain_protected_runs(home) == {"r1": "needed", "r5": "champion"}
    assert list(prune_runs(home, 2, dry_run=True)) == ["r3", "r2", "r0"]
    made[4].save_stage("report", {}, {})
    assert list(prune_runs(home, 2)) == ["r3", "r2", "r1", "r0"]


def test_the_champions_of_all_configs_are_kept_and_the_one_of_version_0_1(tmp_path: Path) -> None:
    home = tmp_path / "runs"
    made = _home(tmp_path)
    for run in made:
        artifact_store.write_json(
            run.path / "run.json",
            {**artifact_store.read_json(run.path / "run.json"), "champion": None},
        )
    _point(home, {"run_id": "r0"})
    _point(home, {"run_id": "r1"}, "y")
    artifact_store.write_json(home / "champion.json", {"run_id": "r2"})
    assert explain_protected_runs(home) == dict.fromkeys(("r0", "r1", "r2"), "champion")


def test_what_another_run_took_over_stays_with_it(tmp_path: Path) -> None:
    old, new, *_ = _home(tmp_path)
    old.save_stage("ingest", MADE, {"key": "k", "went_in": {}, "notes": [], "seconds": 1.0})
    new.link_stage("ingest", old)
    assert "r0" in list(prune_runs(tmp_path / "runs", 5))
    assert not old.path.exists()
    assert new.is_intact("ingest")
    assert (new.load_artifact("pixels") == MADE["pixels"]).all()


def test_a_run_at_work_is_passed_over_and_a_killed_prune_is_finished(tmp_path: Path) -> None:
    old, *_ = _home(tmp_path)
    half = tmp_path / "runs" / ".pruned-r9"
    (half / "ingest").mkdir(parents=True)
    with (old.path / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert list(prune_runs(tmp_path / "runs", 4)) == ["r1"]
    assert not half.exists()
    assert list(prune_runs(tmp_path / "runs", 4)) == ["r0"]


def test_zero_runs(tmp_path: Path) -> None:
    assert list(prune_runs(tmp_path / "none", 3)) == []
    set_pinned(RunFolder.open_or_create(tmp_path / "r"), False)
