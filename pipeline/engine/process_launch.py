"""One command line as several processes of torchrun, started again where one of them dies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.contracts import InputError, RunBusyError
from pipeline.storage import champion_registry
from pipeline.storage.artifact_store import RunFolder
from pipeline.storage.signals import StopSignal

MAX_RESTARTS = 3
RUN_VARIABLE, EXIT_CODE_VARIABLE = "NIGHTSHIFT_RUN", "NIGHTSHIFT_EXIT_CODE"
"""What the processes are told: the run's folder, so that a start anew goes on with it; where their exit code goes."""


def is_launched() -> bool:
    """Whether this is one of several processes of torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def open_shared_run(name: str) -> RunFolder | None:
    """The run that several processes work in together; None for a process by itself. name: the config's.

    Raises `InputError` where torchrun was called by hand and names none: each process would begin a run of its own.
    """
    if not is_launched():
        return None
    if RUN_VARIABLE not in os.environ:
        raise InputError(
            "under torchrun name the run: --resume RUN; or leave torchrun to run --processes N"
        )
    return champion_registry.begin_run(Path(os.environ[RUN_VARIABLE]), name)


def launch_processes(process_count: int, run_path: Path) -> int:
    """Call this process's own command line as so many processes on `run`; returns the exit code that it would have.

    torchrun takes any code but 0 for a death, so the processes write theirs into a file. The store that they meet in
    is not torchrun's own: with a shared one a start anew can hang.
    """
    with TemporaryDirectory() as aside:
        code = Path(aside) / "code"
        told = {
            RUN_VARIABLE: str(run_path),
            EXIT_CODE_VARIABLE: str(code),
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
        }
        threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // process_count))}
        torchrun = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--max-restarts={MAX_RESTARTS}",
        ]
        line = [
            *torchrun,
            f"--nproc-per-node={process_count}",
            "-m",
            "pipeline.cli.app",
            *sys.argv[1:],
        ]
        with subprocess.Popen(line, env=threads | dict(os.environ) | told) as child:
            try:
                child.wait()
            except StopSignal:
                child.terminate()  # it ends its processes, each of which stops in its own good time
                child.wait()
                raise
        return int(code.read_text()) if code.is_file() else 70


def hand_over_exit_code(exit_code: int) -> int:
    """What a process is to exit with whose own exit code is `code`: under `launch` 0, and the code is handed over."""
    if EXIT_CODE_VARIABLE not in os.environ or (
        exit_code > 2 and exit_code != RunBusyError.exit_code
    ):
        return exit_code
    if os.environ.get("RANK") == "0":
        Path(os.environ[EXIT_CODE_VARIABLE]).write_text(str(exit_code))
    return 0
