"""One run by several processes: the first one runs the stages, the others share some of them."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from pipeline.config import ResolvedConfig
from pipeline.engine.progress_reporting import log_line
from pipeline.engine.run_publishing import RunOutcome
from pipeline.engine.runner import execute_run
from pipeline.engine.stage_execution import follow_first_process
from pipeline.storage.artifact_store import RunFolder
from pipeline.storage.signals import StopSignal

MAX_RESTARTS = 3
"""A machine whose processes die more often needs a look by a person."""


def _execute_in_process(
    fabric: Any, run: RunFolder, config: ResolvedConfig, options: dict[str, Any]
) -> RunOutcome | None:
    """Run the stages in the first process, and return the outcome; follow it in the others."""
    if not fabric.is_global_zero:
        follow_first_process(fabric, run, config)
        return None
    outcome = execute_run(run, config, **options)
    fabric.broadcast("")
    return outcome


def execute_shared_run(
    run: RunFolder, config: ResolvedConfig, process_count: int, **options: Any
) -> RunOutcome:
    """Do what `runner.execute_run` does, in several processes.

    If a process dies, all are started again and continue from the last checkpoint.

    Args:
        run: the run.
        config: its config.
        process_count: number of processes; 1 starts none.
        options: further arguments of `execute_run`.

    Raises:
        InputError: as `execute_run`, or there are fewer GPUs than processes.
    """
    if process_count == 1:
        return execute_run(run, config, **options)
    from pipeline.learning.distributed import ProcessFailure, launch_processes

    restart_count = 0
    while True:
        try:
            execute = partial(_execute_in_process, run=run, config=config, options=options)
            return cast(RunOutcome, launch_processes(process_count, execute))
        except ProcessFailure as failure:
            restart_count += 1
            if restart_count > MAX_RESTARTS:
                raise
            log_line(f"{str(failure).strip()}\nall continue from the last checkpoint")
            options |= {"from_stage": None, "force": False}  # finished stages are not run again
        except StopSignal:
            log_line(f"stopped; resume with: nightshift run --resume {run.path}")
            raise
