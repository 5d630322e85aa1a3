import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import launch
from pipeline.contracts import InputError
from pipeline.store import Run
from tests.night import config, draw


def test_torchrun_by_hand_must_name_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(launch.RUN, raising=False)
    assert launch.given_run() is None
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert launch.launched()
    with pytest.raises(InputError, match="name the run: --resume RUN"):
        launch.given_run()
    monkeypatch.setenv(launch.RUN, str(tmp_path / "r"))
    run = launch.given_run()
    assert run is not None
    assert run.path == tmp_path / "r"


ENDS = [(1, 0, "1"), (2, 0, "2"), (75, 0, "75"), (70, 70, None), (137, 137, None)]


@pytest.mark.parametrize(("code", "left", "told"), ENDS)
def test_a_deliberate_end_is_no_death(
    code: int, left: int, told: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(launch.CODE, raising=False)
    assert launch.leave(code) == code
    monkeypatch.setenv(launch.CODE, str(tmp_path / "code"))
    monkeypatch.setenv("RANK", "1")
    launch.leave(code)
    assert not (tmp_path / "code").exists(), "the first rank speaks for all"
    monkeypatch.setenv("RANK", "0")
    assert launch.leave(code) == left
    assert ((tmp_path / "code").read_text() if told else None) == told


def _command(folder: Path, name: str, *more: str) -> list[str]:
    run = Run.begin(folder / name / name)
    line = [sys.executable, "-m", "pipeline.cli", "run", "-c", str(folder / "c.yaml"), "--resume", str(run.path)]
    return [*line, "--runs", str(run.path.parent), "--processes", "2", *more]


def _rank(run: str, rank: int) -> int | None:
    """The process that works on `run` as this rank."""
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            told = set(place.read_bytes().split(b"\0"))
        except OSError:
            continue
        if {f"{launch.RUN}={run}".encode(), f"RANK={rank}".encode()} <= told:
            return int(place.parent.name)
    return None


def _artifacts(path: Path) -> dict[str, str]:
    records = [Run.open(path).record(name) or {} for name in ("train", "evaluate", "probe")]
    return {name: value for record in records for name, value in record["artifacts"].items()}


@pytest.mark.long
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank_is_started_again_and_the_run_ends_as_if_nothing_had_happened(rank: int, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(config(draw(tmp_path / "data", visits=80), tmp_path, epochs=60))
    whole = subprocess.run(_command(tmp_path, "whole", "--to-stage", "probe"), capture_output=True, text=True)
    assert whole.returncode == 0, whole.stderr
    command = _command(tmp_path, "hurt", "--to-stage", "probe")
    path = tmp_path / "hurt" / "hurt"
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as process:
        while process.poll() is None and not list(path.glob(".work-train-*/fit/last.pt")):
            time.sleep(0.01)
        victim = _rank(str(path), rank)
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        _, said = process.communicate()
    assert process.returncode == 0, said
    assert "Signal 9" in said or "SIGKILL" in said or "-9" in said, said
    assert _artifacts(path) == _artifacts(tmp_path / "whole" / "whole")
    assert said.count("ingest     skipped") == 1, "what was finished is not made again"


@pytest.mark.long
def test_bad_input_under_several_processes_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("ingest: {data: missing}\n")
    done = subprocess.run(_command(tmp_path, "bad"), capture_output=True, text=True)
    assert done.returncode == 2
    assert len([line for line in done.stderr.splitlines() if line.startswith("nightshift: ")]) == 1
    assert "Traceback" not in done.stderr
