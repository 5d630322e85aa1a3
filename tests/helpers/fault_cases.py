"""Commands that change runs, a folder of runs to try them on, and what a fault must leave."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.contracts import InputError
from pipeline.engine.run_publishing import publish_report
from pipeline.engine.stage_execution import load_settings_classes
from pipeline.graph import STAGES
from pipeline.integrations.object_store import push_run
from pipeline.storage import champion_registry, review_decisions
from pipeline.storage.artifact_store import RunFolder, list_finished_stages, list_runs
from pipeline.storage.bundle_record import BUNDLE_FORMAT, FORMAT_KEY, RECORD_FILE
from tests.helpers.fault_injection import KILL, Fault, run_command, start_command, wait_for
from tests.storage.test_artifact_store import OUTPUTS

PATHS = ["secret-name-0.png", "kept-name-1.png"]
IDS = ["f0f0aaaa5555f0f0", "1111bbbb22221111"]
MARK = bytes(range(7, 55))
"""Pixels of the image to forget: they are searched in all files."""
COMMAND_MODULES = (
    *("pipeline.engine.image_erasure", "pipeline.engine.run_pruning", "pipeline.engine.runner"),
    *("pipeline.integrations.object_store", "pipeline.integrations.run_messages"),
    *("pipeline.integrations.mlflow.mlflow_tracking", "pipeline.report.runs_index"),
    *("fsspec.implementations.local", "pyarrow.dataset"),
)
"""What the commands import."""
CONFIG = "name: gate\nruns: ..\nreports: ../../reports\ntracking: {mlflow: false}\n"
GOOD_CODES = {0, 1, 2, 75}
"""Exit codes that are no defect."""


@dataclass(frozen=True)
class Case:
    """A command.

    Attributes:
        name: its name in the table.
        arguments: its arguments, in the folder of the home.
        removes: runs that it may remove.
        may_be_done: whether a repeat may find that nothing is left to do (exit code 2).
    """

    name: str
    arguments: tuple[str, ...]
    removes: tuple[str, ...] = ()
    may_be_done: bool = False


CASES = (
    Case("promote", ("runs", "promote", "r1")),
    Case("rollback", ("runs", "rollback"), may_be_done=True),
    Case("pin", ("runs", "pin", "r1")),
    Case("unpin", ("runs", "unpin", "r2")),
    Case("prune", ("runs", "prune", "--keep", "1"), removes=("r1",)),
    Case("forget", ("runs", "forget", PATHS[0]), may_be_done=True),
    Case("review apply", ("review", "apply", "saved.json")),
    Case("push", ("runs", "push", "r3", "mounted/runs", "--champion")),
    Case("pull", ("runs", "pull", "mounted/runs/p1")),
)


def _save_stages(run: RunFolder, folder: Path) -> None:
    """Save every stage of a run, with two images and a model."""
    bundle = folder / f"bundle-{run.run_id}"
    bundle.mkdir()
    (bundle / champion_registry.WEIGHTS_FILE).write_text(f"weights of {run.run_id}")
    (bundle / RECORD_FILE).write_text(json.dumps({FORMAT_KEY: BUNDLE_FORMAT}))
    page = folder / f"page-{run.run_id}"
    page.mkdir()
    (page / "index.html").write_text(f"<html>{PATHS[0]} {PATHS[1]}</html>")
    pd.DataFrame({"image_id": IDS, "path": PATHS}).to_parquet(page / "images.parquet")
    images = pd.concat([OUTPUTS["images"]] * 2, ignore_index=True)
    images = images.assign(image_id=IDS, path=PATHS, source=[f"/data/{name}" for name in PATHS])
    images["content_hash"] = [f"hash-of-{name}" for name in IDS]
    pixels = np.stack([np.frombuffer(MARK, np.uint8), np.zeros(48, np.uint8)]).reshape(2, 4, 4, 3)
    rejected = pd.DataFrame({"path": ["b.jpg"], "reason": ["empty"]})
    outputs = {
        "ingest": {
            "images": images,
            "rejected": rejected,
            "pixels": pixels,
            "classes": {"names": ["x"]},
        },
        "measure": {"attributes": pd.DataFrame({"image_id": IDS, "luminance": [1.0, 2.0]})},
        "promote": {"verdict": {"promoted": True}, "bundle": bundle},
        "report": {"html": page, "summary": {"run_id": run.run_id, "shown": PATHS}},
    }
    for stage in STAGES:
        record = {"key": stage.name, "went_in": {"inputs": {}}, "notes": [f"saw {PATHS[0]}"]}
        run.save_stage(stage.name, outputs.get(stage.name, {}), record)


def build_home(folder: Path) -> Path:
    """Return a home with runs r1 to r3, of which r3 is champion after r2, and a pushed run p1."""
    load_settings_classes()  # imported once, before the processes are forked
    for name in COMMAND_MODULES:
        importlib.import_module(name)
    home, parts = folder / "home", folder / "parts"
    home.mkdir()
    parts.mkdir()
    for runs_folder, name in (("runs", "r1"), ("runs", "r2"), ("runs", "r3"), ("other", "p1")):
        run = champion_registry.begin_run(home / runs_folder / name, "gate")
        _save_stages(run, parts)
        (run.path / "config.yaml").write_text(CONFIG)
    for name in ("r2", "r3"):
        champion_registry.promote_run(home / "runs", RunFolder(home / "runs" / name))
    (home / "runs" / "r2" / ".pinned").touch()
    for name in ("r1", "r3"):
        publish_report(RunFolder(home / "runs" / name), home / "reports")
    push_run(RunFolder(home / "other" / "p1"), str(home / "mounted" / "runs"))
    shutil.rmtree(home / "other")
    labels = [{"image_id": IDS[1], "path": PATHS[1], "decision": "wrong"}]
    (home / "saved.json").write_text(json.dumps({"review": 1, "run_id": "r3", "labels": labels}))
    decided = [{"image_id": IDS[0], "path": PATHS[0], "decision": "wrong"}]
    (home / "first.json").write_text(json.dumps({"review": 1, "run_id": "r3", "labels": decided}))
    review_decisions.apply_review_file(home / "runs", home / "first.json")
    (home / "first.json").unlink()
    return home


@dataclass
class HomeState:
    """What must not be lost: finished stages by run."""

    stages: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, home: Path) -> HomeState:
        """Return the state of a home."""
        runs = list_runs(home / "runs")
        return cls({run.run_id: list_finished_stages(run) for run in runs})

    def find_losses(self, home: Path, removable: Sequence[str], *, is_erasing: bool) -> list[str]:
        """Return a line on everything that was there and is lost.

        Args:
            home: the home.
            removable: runs that the commands may remove.
            is_erasing: whether pages may be gone, since the image is on them.
        """
        losses = []
        try:
            champion_registry.find_champion_bundle(home / "runs", "gate")
        except InputError as error:
            losses.append(f"champion: {error}")
        for run_id, stages in self.stages.items():
            run = RunFolder(home / "runs" / run_id)
            if run_id in removable and not (run.path / "run.json").exists():
                continue
            for stage in stages:
                if is_erasing and stage == "report":
                    continue
                if run.read_record(stage) is None:
                    losses.append(f"{run_id}: {stage} is gone")
                elif damage := run.find_damage(stage):
                    losses.append(damage)
        return losses


def find_traces(home: Path) -> list[str]:
    """Return the files below a folder that name the forgotten image or hold its pixels."""
    needles = [PATHS[0].encode(), IDS[0].encode(), MARK]
    found = []
    for path in home.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content += pd.read_parquet(path).to_csv().encode()
        if any(needle in content or needle.decode("latin-1") in path.name for needle in needles):
            found.append(str(path.relative_to(home)))
    return found


def copy_home(base: Path, folder: Path) -> Path:
    """Return a copy of a home."""
    home = folder / "copy"
    shutil.rmtree(home, ignore_errors=True)
    return Path(shutil.copytree(base, home, symlinks=True))


def try_fault(base: Path, folder: Path, case: Case, fault: Fault) -> list[str]:
    """Run a command with a fault and then again without, and return what went wrong."""
    home, state = copy_home(base, folder), HomeState.read(base)
    log, is_erasing = folder / "log", case.name == "forget"
    code, _ = run_command(case.arguments, home, fault, log)
    problems = []
    if code not in GOOD_CODES and not (fault.kind == KILL and code == -9):
        problems.append(f"exit code {code}: {log.read_text()[-1500:]}")
    problems += state.find_losses(home, case.removes, is_erasing=is_erasing)
    code, _ = run_command(case.arguments, home, output=log)
    is_done = case.may_be_done and code == 2
    if code and not is_done:
        problems.append(f"repeat: exit code {code}: {log.read_text()[-1500:]}")
    problems += state.find_losses(home, case.removes, is_erasing=is_erasing)
    if is_erasing:
        problems += [f"trace of the image in {name}" for name in find_traces(home / "runs")]
        problems += [f"trace of the image in {name}" for name in find_traces(home / "reports")]
    return [f"{case.name}, {fault}: {problem}" for problem in problems]


def count_operations(base: Path, folder: Path, case: Case) -> int:
    """Return the number of file operations of a command without a fault."""
    code, count = run_command(case.arguments, copy_home(base, folder), output=folder / "log")
    assert code == 0, f"{case.name}: {code}: {(folder / 'log').read_text()}"
    return count


def try_pair(base: Path, folder: Path, first: Case, second: Case) -> list[str]:
    """Run two commands at once, and return what went wrong."""
    home, state = copy_home(base, folder), HomeState.read(base)
    logs = folder / "log-1", folder / "log-2"
    started = []
    for case, log in zip((first, second), logs, strict=True):
        started.append(start_command(case.arguments, home, output=log))
    problems = []
    for (process_id, counter), log in zip(started, logs, strict=True):
        code = wait_for(process_id)
        counter.unlink(missing_ok=True)
        if code not in GOOD_CODES:
            problems.append(f"exit code {code}: {log.read_text()[-1500:]}")
    is_erasing = "forget" in (first.name, second.name)
    removable = (*first.removes, *second.removes)
    problems += state.find_losses(home, removable, is_erasing=is_erasing)
    return [f"{first.name} beside {second.name}: {problem}" for problem in problems]
