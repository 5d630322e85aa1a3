"""SIGKILL a run at random moments, resume it, and hold what comes out against a run that nobody disturbed."""

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

NAMES = [s.name for s in STAGES]
TIMES = {"time", "seconds", "created", "run_id", "date"}


def timeless(value: Any) -> Any:
    """A JSON value without what says when, and which run."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in TIMES}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def nameless(run: RunFolder, artifact: str) -> Any:
    """A JSON artifact without the run's own name in it: `follow` says since which run a slice is known."""
    return timeless(
        json.loads(json.dumps(run.load_artifact(artifact)).replace(run.run_id, "this run"))
    )


def command(config: Path, run: RunFolder) -> list[str]:
    line = [
        sys.executable,
        "-m",
        "pipeline.cli.app",
        "run",
        "-c",
        str(config),
        "--resume",
        str(run.path),
    ]
    return [*line, "--runs", str(run.path.parent)]


def straight(config: Path, home: Path) -> RunFolder:
    """The run that nobody disturbs."""
    run = RunFolder.open_or_create(home / "runs" / "straight")
    done = subprocess.run(
        command(config, run), cwd=home, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    return run


@dataclass
class Victim:
    """A run that is killed stage after stage. killed: in which stages; finished: when each was first seen."""

    config: Path
    run: RunFolder
    rng: np.random.Generator
    killed: Counter[str] = field(default_factory=Counter)
    finished: dict[str, int] = field(default_factory=dict)

    def _done(self) -> dict[str, int]:
        files = {name: self.run.path / name / "stage.json" for name in NAMES}
        return {name: file.stat().st_mtime_ns for name, file in files.items() if file.is_file()}

    def _look(self) -> None:
        """A finished stage must never be made again."""
        now = self._done()
        assert {name: now.get(name) for name in self.finished} == self.finished
        self.finished = now

    def kill(self, aim: str, seconds: float) -> None:
        """Let it work until it is in stage `aim`, and kill it there at a random moment of so many seconds."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command(self.config, self.run), start_new_session=True, **quiet)
        before, lock = set(NAMES[: NAMES.index(aim)]), self.run.path / ".lock"
        while process.poll() is None:
            at_work = lock.is_file() and lock.read_text().split(" ")[0] == str(process.pid)
            if at_work and before <= set(self._done()):
                break
            time.sleep(0.01)
        time.sleep(self.rng.uniform(0, seconds))
        within = next((name for name in NAMES if name not in self._done()), "published")
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            self.killed[within] += 1
        process.wait()
        self._look()

    def end(self) -> None:
        """Let it come to its end."""
        done = subprocess.run(
            command(self.config, self.run), capture_output=True, text=True, check=False
        )
        assert done.returncode in (0, 1), done.stderr
        self._look()
        assert list(self.finished) == NAMES

    def same_as(self, other: RunFolder) -> None:
        """Hold summary, artifacts and ledger against the undisturbed run."""
        for record in ("summary", "followed"):
            assert nameless(self.run, record) == nameless(other, record)
        for name in [n for n in NAMES[: NAMES.index("compare")] if n != "follow"]:
            mine, theirs = (run.read_record(name) or {} for run in (self.run, other))
            assert mine["artifacts"] == theirs["artifacts"], name
        ledgers = [run.path.parent / "ledger.jsonl" for run in (self.run, other)]
        lines = [
            len(ledger.read_text().splitlines()) if ledger.is_file() else 0 for ledger in ledgers
        ]
        assert lines[0] == lines[1] <= 1
        left = [
            p.name for p in self.run.path.iterdir() if p.name.startswith((".work", ".tmp", ".old"))
        ]
        assert left == []


def survived(
    config: Path, home: Path, other: RunFolder, aims: Sequence[str], seed: int
) -> Counter[str]:
    """Kill a new run in each of the stages `aims`, let it end, compare; returns in which stages it died."""
    victim = Victim(
        config,
        RunFolder.open_or_create(home / "runs" / f"victim-{seed}"),
        np.random.default_rng(seed),
    )
    for aim in aims:
        victim.kill(aim, 1.2 * float((other.read_record(aim) or {})["seconds"]) + 0.3)
    victim.end()
    victim.same_as(other)
    return victim.killed


def say(killed: Counter[str]) -> str:
    return f"{killed.total()} kills survived: " + json.dumps(
        {n: killed[n] for n in [*NAMES, "published"] if killed[n]}
    )
