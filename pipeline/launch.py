"""One command line as several processes of torchrun, started again where one of them dies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.contracts import Busy, InputError
from pipeline.interrupt import Stopped
from pipeline.store import Run

RESTARTS = 3
RUN, CODE = "NIGHTSHIFT_RUN", "NIGHTSHIFT_EXIT_CODE"
"""What the processes are told: the run's folder, so that a start anew goes on with it; where their exit code goes."""


def launched() -> bool:
    """Whether this is one of several processes of torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def given_run() -> Run | None:
    """The run that several processes work in together; None for a process by itself.

    Raises `InputError` where torchrun was called by hand and names none: each process would begin a run of its own.
    """
    if not launched():
        return None
    if RUN not in os.environ:
        raise InputError("under torchrun name the run: --resume RUN; or leave torchrun to run --processes N")
    return Run.begin(Path(os.environ[RUN]))


def launch(processes: int, run: Path) -> int:
    """Call this process's own command line as so many processes on `run`; returns the exit code that it would have.

    torchrun takes any code but 0 for a death, so the processes write theirs into a file. The store that they meet in
    is not torchrun's own: with a shared one a start anew can hang.
    """
    with TemporaryDirectory() as aside:
        code = Path(aside) / "code"
        told = {RUN: str(run), CODE: str(code), "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
        threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // processes))}
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--max-restarts={RESTARTS}"]
        line = [*torchrun, f"--nproc-per-node={processes}", "-m", "pipeline.cli", *sys.argv[1:]]
        with subprocess.Popen(line, env=threads | dict(os.environ) | told) as child:
            try:
                child.wait()
            except Stopped:
                child.terminate()  # it ends its processes, each of which stops in its own good time
                child.wait()
                raise
        return int(code.read_text()) if code.is_file() else 70


def leave(code: int) -> int:
    """What a process is to exit with whose own exit code is `code`: under `launch` 0, and the code is handed over."""
    if CODE not in os.environ or (code > 2 and code != Busy.code):
        return code
    if os.environ.get("RANK") == "0":
        Path(os.environ[CODE]).write_text(str(code))
    return 0
