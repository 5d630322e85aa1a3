"""Kills of a run at random moments, its resumption, and the comparison with an undisturbed run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.graph import STAGES
from pipeline.storage.artifact_store import RunFolder

NAMES = [stage.name for stage in STAGES]
TIME_KEYS = {"time", "seconds", "created", "run_id", "date"}


def remove_times(value: Any) -> Any:
    """Return a JSON value without its times and run ids."""
    if isinstance(value, dict):
        return {key: remove_times(item) for key, item in value.items() if key not in TIME_KEYS}
    return [remove_times(item) for item in value] if isinstance(value, list) else value


def load_record(run: RunFolder, artifact: str) -> Any:
    """Return a JSON artifact without times and without the run's name.

    `follow` records the run since which a slice is known.
    """
    text = json.dumps(run.load_artifact(artifact)).replace(run.run_id, "this run")
    return remove_times(json.loads(text))


def build_command(config: Path, run: RunFolder) -> list[str]:
    """Return the command that starts or resumes a run."""
    return [
        *(sys.executable, "-m", "pipeline.cli.app", "run", "-c", str(config)),
        *("--resume", str(run.path), "--runs", str(run.path.parent)),
    ]


def run_undisturbed(config: Path, folder: Path) -> RunFolder:
    """Return a finished run in a new folder of runs."""
    run = RunFolder.open_or_create(folder / "runs" / "undisturbed")
    command = build_command(config, run)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return run


@dataclass
class KilledRun:
    """A run that is killed in stage after stage.

    Attributes:
        config: its config.
        run: its folder.
        rng: draws the moments of the kills.
        kill_counts: number of kills by stage.
        finish_times: modification time in ns of each finished stage.
    """

    config: Path
    run: RunFolder
    rng: np.random.Generator
    kill_counts: Counter[str] = field(default_factory=Counter)
    finish_times: dict[str, int] = field(default_factory=dict)

    def _read_finish_times(self) -> dict[str, int]:
        files = {name: self.run.path / name / "stage.json" for name in NAMES}
        return {name: file.stat().st_mtime_ns for name, file in files.items() if file.is_file()}

    def _check_finished_stages(self) -> None:
        """Check that no finished stage was run again."""
        now = self._read_finish_times()
        assert {name: now.get(name) for name in self.finish_times} == self.finish_times
        self.finish_times = now

    def kill_in_stage(self, stage: str, max_delay: float) -> None:
        """Resume the run and kill it in a stage.

        Args:
            stage: the stage.
            max_delay: longest time in s from the start of the stage to the kill.
        """
        process = subprocess.Popen(
            build_command(self.config, self.run),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        earlier, lock = set(NAMES[: NAMES.index(stage)]), self.run.path / ".lock"
        while process.poll() is None:
            is_working = lock.is_file() and lock.read_text().split(" ")[0] == str(process.pid)
            if is_working and earlier <= set(self._read_finish_times()):
                break
            time.sleep(0.01)
        time.sleep(self.rng.uniform(0, max_delay))
        finished = self._read_finish_times()
        current = next((name for name in NAMES if name not in finished), "published")
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            self.kill_counts[current] += 1
        process.wait()
        self._check_finished_stages()

    def finish(self) -> None:
        """Resume the run and let it finish."""
        command = build_command(self.config, self.run)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), done.stderr
        self._check_finished_stages()
        assert list(self.finish_times) == NAMES

    def compare_with(self, other: RunFolder) -> None:
        """Check that summary, artifacts and ledger are those of the undisturbed run."""
        for record in ("summary", "followed"):
            assert load_record(self.run, record) == load_record(other, record)
        for name in NAMES[: NAMES.index("compare")]:
            if name != "follow":  # it records the run's name
                own, theirs = self.run.read_record(name) or {}, other.read_record(name) or {}
                assert own["artifacts"] == theirs["artifacts"], name
        assert count_openings(self.run) == count_openings(other) <= 1
        files = [path.name for path in self.run.path.iterdir()]
        assert [name for name in files if name.startswith((".work", ".tmp", ".old"))] == []


def count_openings(run: RunFolder) -> int:
    """Return the number of test openings in the ledger of a run's folder."""
    ledger = run.path.parent / "ledger.jsonl"
    return len(ledger.read_text().splitlines()) if ledger.is_file() else 0


def kill_and_compare(
    config: Path, folder: Path, other: RunFolder, stages: Sequence[str], seed: int
) -> Counter[str]:
    """Kill a new run in each of the stages, let it finish, and compare it.

    Args:
        config: the config.
        folder: folder for the runs.
        other: the undisturbed run.
        stages: where it is killed.
        seed: seed of the moments.

    Returns:
        The number of kills by stage.
    """
    run = RunFolder.open_or_create(folder / "runs" / f"killed-{seed}")
    killed_run = KilledRun(config, run, np.random.default_rng(seed))
    for stage in stages:
        seconds = float((other.read_record(stage) or {})["seconds"])
        killed_run.kill_in_stage(stage, 1.2 * seconds + 0.3)
    killed_run.finish()
    killed_run.compare_with(other)
    return killed_run.kill_counts


def format_kill_counts(kill_counts: Counter[str]) -> str:
    """Return the number of kills, and of kills by stage."""
    by_stage = {name: kill_counts[name] for name in [*NAMES, "published"] if kill_counts[name]}
    return f"{kill_counts.total()} kills survived: {json.dumps(by_stage)}"
