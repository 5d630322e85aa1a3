import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.engine import process_launch
from pipeline.storage.artifact_store import RunFolder
from tests.night import config, draw


def test_torchrun_by_hand_must_name_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(process_launch.RUN_VARIABLE, raising=False)
    assert process_launch.open_shared_run("gate") is None
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert process_launch.is_launched()
    with pytest.raises(InputError, match="name the run: --resume RUN"):
        process_launch.open_shared_run("gate")
    monkeypatch.setenv(process_launch.RUN_VARIABLE, str(tmp_path / "r"))
    run = process_launch.open_shared_run("gate")
    assert run is not None
    assert run.path == tmp_path / "r"


EXIT_CODES = [(1, 0, "1"), (2, 0, "2"), (75, 0, "75"), (70, 70, None), (137, 137, None)]


@pytest.mark.parametrize(("code", "exit_code", "written"), EXIT_CODES)
def test_a_deliberate_end_is_not_a_death(
    code: int, exit_code: int, written: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(process_launch.EXIT_CODE_VARIABLE, raising=False)
    assert process_launch.hand_over_exit_code(code) == code
    monkeypatch.setenv(process_launch.EXIT_CODE_VARIABLE, str(tmp_path / "code"))
    monkeypatch.setenv("RANK", "1")
    process_launch.hand_over_exit_code(code)
    assert not (tmp_path / "code").exists(), "only the first rank writes"
    monkeypatch.setenv("RANK", "0")
    assert process_launch.hand_over_exit_code(code) == exit_code
    assert ((tmp_path / "code").read_text() if written else None) == written


def _build_command(folder: Path, name: str, *more: str) -> list[str]:
    run = RunFolder.open_or_create(folder / name / name)
    line = [
        sys.executable,
        "-m",
        "nightshift",
        "run",
        "-c",
        str(folder / "c.yaml"),
        "--resume",
        str(run.path),
    ]
    return [*line, "--runs", str(run.path.parent), "--processes", "2", *more]


def _find_rank(run: str, rank: int) -> int | None:
    """Return the id of the process that works on `run` as this rank."""
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = set(place.read_bytes().split(b"\0"))
        except OSError:
            continue
        if {f"{process_launch.RUN_VARIABLE}={run}".encode(), f"RANK={rank}".encode()} <= variables:
            return int(place.parent.name)
    return None


def _read_artifact_hashes(path: Path) -> dict[str, str]:
    records = [
        RunFolder.open_existing(path).read_record(name) or {}
        for name in ("train", "evaluate", "probe")
    ]
    return {name: value for record in records for name, value in record["artifacts"].items()}


@pytest.mark.long
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank_is_restarted_and_the_run_ends_with_the_same_artifacts(
    rank: int, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(
        config(draw(tmp_path / "data", visits=80), tmp_path, epochs=60)
    )
    whole = subprocess.run(
        _build_command(tmp_path, "whole", "--to-stage", "probe"), capture_output=True, text=True
    )
    assert whole.returncode == 0, whole.stderr
    command = _build_command(tmp_path, "killed", "--to-stage", "probe")
    path = tmp_path / "killed" / "killed"
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as process:
        while process.poll() is None and not list(path.glob(".work-train-*/fit/last.pt")):
            time.sleep(0.01)
        victim = _find_rank(str(path), rank)
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        _, log = process.communicate()
    assert process.returncode == 0, log
    assert "Signal 9" in log or "SIGKILL" in log or "-9" in log, log
    assert _read_artifact_hashes(path) == _read_artifact_hashes(tmp_path / "whole" / "whole")
    assert log.count("ingest     skipped") == 1, "finished stages are not run again"


@pytest.mark.long
def test_bad_input_under_several_processes_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("ingest: {data: missing}\n")
    done = subprocess.run(_build_command(tmp_path, "bad"), capture_output=True, text=True)
    assert done.returncode == 2
    assert len([line for line in done.stderr.splitlines() if line.startswith("nightshift: ")]) == 1
    assert "Traceback" not in done.stderr
