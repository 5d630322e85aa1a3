import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.engine.runner import load_config
from pipeline.engine.shared_execution import execute_shared_run
from pipeline.storage.artifact_store import RunFolder
from tests.night import config, draw


def test_one_process_runs_the_stages_itself(tmp_path: Path) -> None:
    config = load_config(None, ["ingest.data=missing"])
    run = RunFolder.open_or_create(tmp_path / "r")
    with pytest.raises(InputError, match="missing"):
        execute_shared_run(run, config, 1)


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


def _find_process(parent: int, rank: int) -> int | None:
    """Return the id of the child of `parent` that works as this rank."""
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            is_child = int(status.read_text().rpartition(")")[2].split()[1]) == parent
            command = status.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if is_child and b"spawn_main" in command:
            children.append(int(status.parent.name))
    return sorted(children)[rank] if len(children) > rank else None


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
        victim = _find_process(process.pid, rank)
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
