"""One command line as several processes of torchrun, restarted if any process dies."""

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
"""A machine whose processes die more often needs a look by a person."""
RUN_VARIABLE = "NIGHTSHIFT_RUN"
"""Environment variable with the run's folder, so that a restart resumes the run."""
EXIT_CODE_VARIABLE = "NIGHTSHIFT_EXIT_CODE"
"""Environment variable with the file that receives the processes' exit code."""


def is_launched() -> bool:
    """Return whether torchrun started this process among others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def open_shared_run(name: str) -> RunFolder | None:
    """Return the run of the config `name` that several processes share, or None for one process.

    Raises:
        InputError: torchrun was called by hand without a run: each process would begin another run.
    """
    if not is_launched():
        return None
    if RUN_VARIABLE not in os.environ:
        raise InputError(
            "under torchrun name the run: --resume RUN; or use --processes N instead of torchrun"
        )
    return champion_registry.begin_run(Path(os.environ[RUN_VARIABLE]), name)


def launch_processes(process_count: int, run_path: Path) -> int:
    """Run this process's command line as several processes on one run, and return the exit code.

    torchrun treats every exit code but 0 as a death, so the processes write theirs into a file.
    They
    meet in a store of their own: with torchrun's shared store a restart can hang.
    """
    with TemporaryDirectory() as folder:
        exit_code_file = Path(folder) / "code"
        threads = max(1, (os.cpu_count() or 1) // process_count)
        environment = {
            "OMP_NUM_THREADS": str(threads),
            **os.environ,
            RUN_VARIABLE: str(run_path),
            EXIT_CODE_VARIABLE: str(exit_code_file),
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
        }
        command = [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            f"--max-restarts={MAX_RESTARTS}",
            f"--nproc-per-node={process_count}",
            *("-m", "nightshift", *sys.argv[1:]),
        ]
        with subprocess.Popen(command, env=environment) as child:
            try:
                child.wait()
            except StopSignal:
                child.terminate()  # torchrun ends its processes, and each stops in order
                child.wait()
                raise
        return int(exit_code_file.read_text()) if exit_code_file.is_file() else 70


def hand_over_exit_code(exit_code: int) -> int:
    """Return the exit code of this process.

    In a process that `launch_processes` started, the first rank writes `exit_code` into the file,
    and
    the process exits with 0: it is not restarted. Defects and signals are passed on unchanged.
    """
    is_deliberate = exit_code <= 2 or exit_code == RunBusyError.exit_code
    if EXIT_CODE_VARIABLE not in os.environ or not is_deliberate:
        return exit_code
    if os.environ.get("RANK") == "0":
        Path(os.environ[EXIT_CODE_VARIABLE]).write_text(str(exit_code))
    return 0
