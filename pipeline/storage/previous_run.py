"""The finished run that precedes a run of the same name."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pipeline.config import read_config
from pipeline.contracts import InputError
from pipeline.storage.artifact_store import RunFolder, list_finished_stages, list_runs


def find_previous_run(
    run_path: Path, required_stages: Collection[str], intact_stage: str
) -> RunFolder | None:
    """Return the newest earlier run of the same name, or None.

    Args:
        run_path: folder of the run; earlier runs began before it.
        required_stages: stages that the earlier run must have finished.
        intact_stage: stage whose artifacts must be undamaged.
    """
    name = _read_run_name(RunFolder(run_path))
    if name is None:
        return None
    for run in _list_earlier_runs(run_path):
        is_finished = set(required_stages) <= set(list_finished_stages(run))
        if is_finished and _read_run_name(run) == name and _is_intact(run, intact_stage):
            return run
    return None


def _is_intact(run: RunFolder, stage: str) -> bool:
    """Return whether a stage is undamaged; a record that cannot be read is damage too."""
    try:
        return run.is_intact(stage)
    except InputError:
        return False


def _list_earlier_runs(run_path: Path) -> list[RunFolder]:
    """Return the runs that began before this one, newest first; none if it has not begun."""
    runs = list_runs(run_path.parent)
    run_ids = [run.run_id for run in runs]
    if run_path.name not in run_ids:
        return []
    return runs[run_ids.index(run_path.name) + 1 :]


def _read_run_name(run: RunFolder) -> str | None:
    """Return the name in the config of a run, or None if it cannot be read."""
    try:
        return str(read_config(run.path / "config.yaml")["name"])
    except (InputError, KeyError):
        return None
