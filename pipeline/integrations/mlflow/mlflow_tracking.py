"""When MLflow records a run, and what happens if it cannot: it never fails a run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.config import GeneralSettings, TrackingSettings, read_general_settings
from pipeline.contracts import InputError
from pipeline.engine.progress_reporting import log_line, show_status
from pipeline.graph import STAGES
from pipeline.integrations.mlflow import mlflow_payload
from pipeline.integrations.mlflow.mlflow_client import (
    MlflowRunLog,
    resolve_tracking_uri,
    silence_mlflow,
)
from pipeline.storage import champion_registry
from pipeline.storage.artifact_store import RunFolder, list_finished_stages

INSTALL_COMMAND = "pip install 'nightshift[mlflow]'"
_PASSWORD_PATTERN = re.compile(r"//[^/@]*:[^/@]*@")
# Characters of a log line that an error of MLflow may fill.
_MAX_ERROR_LENGTH = 200


def _find_missing_package(runs_folder: Path, tracking: TrackingSettings) -> str:
    """Return the first package that tracking needs and that is not installed, or ""."""
    uri = resolve_tracking_uri(runs_folder, tracking.uri)
    needed = ["mlflow"]
    if not re.match("https?:|databricks", uri):
        needed += ["sqlalchemy", "alembic"]
    return next((name for name in needed if find_spec(name) is None), "")


def check_tracking(general: GeneralSettings) -> None:
    """Check the tracking settings before a run.

    Raises:
        InputError: the config requests MLflow and it is not installed, or the config holds a
            password.
    """
    tracking = general.tracking
    if _PASSWORD_PATTERN.search(tracking.uri or ""):
        raise InputError(
            "tracking.uri: its password would be in every run's config and report; leave "
            "tracking.uri out and set MLFLOW_TRACKING_URI, or MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD"
        )
    if not tracking.is_requested:
        return
    if missing := _find_missing_package(general.runs, tracking):
        raise InputError(
            f"tracking: MLflow is requested and {missing} is not installed: {INSTALL_COMMAND}, "
            "or tracking.mlflow=false"
        )


def _summarize_error(error: Exception) -> str:
    """Return the first line of an error, or its type if it has no text."""
    first_line = str(error).partition("\n")[0][:_MAX_ERROR_LENGTH]
    return first_line or type(error).__name__


@contextmanager
def log_run_on_exit(
    run: RunFolder, general: GeneralSettings, *, should_defer: bool = False
) -> Iterator[None]:
    """Record the run when the work inside ends, with success or with an error.

    A stop by a signal is not recorded, so that the process ends at once.

    Args:
        run: the run.
        general: the general settings.
        should_defer: record only an error; a later call records the success.
    """
    try:
        yield
    except Exception:
        if list_finished_stages(run):  # a run without a finished stage is worth no entry
            log_run_safely(run, general, has_failed=True)
        raise
    if not should_defer:
        log_run_safely(run, general)


def log_run_safely(run: RunFolder, general: GeneralSettings, *, has_failed: bool = False) -> None:
    """Record the run and the champion; if that fails, log one line and continue.

    Args:
        run: the run.
        general: the general settings.
        has_failed: whether the run failed.
    """
    if general.tracking.mlflow is False or os.environ.get("RANK", "0") != "0":
        return
    if missing := _find_missing_package(run.path.parent, general.tracking):
        log_line(
            f"  tracking: not logged to MLflow, {missing} is not installed: {INSTALL_COMMAND}, "
            "or tracking.mlflow=false"
        )
        return
    try:
        with show_status("the run is logged to MLflow"):
            record_run(run, general, has_failed=has_failed)
    except InputError as error:
        log_line(f"  tracking: not logged to MLflow: {error}")
    except Exception as error:  # of a server, a network or a database: the run does not need it
        log_line(
            f"  tracking: not logged to MLflow ({_summarize_error(error)}); "
            f"log it later with: nightshift runs track {run.path}"
        )


def read_run_settings(run: RunFolder) -> GeneralSettings:
    """Return the general settings in a run's own config.

    Raises:
        InputError: the run has no config.
    """
    return read_general_settings(run.path / "config.yaml", [stage.name for stage in STAGES])


def log_changed_run(folder: Path) -> None:
    """Record a run that was changed by hand, with the settings in its config."""
    if (folder / "config.yaml").is_file():
        run = RunFolder(folder)
        log_run_safely(run, read_run_settings(run))


def log_moved_champion(runs_folder: Path, config_name: str) -> None:
    """Record a champion that was moved by hand, with the settings of its run."""
    if pointer := champion_registry.read_pointer(runs_folder, config_name):
        log_changed_run(runs_folder / str(pointer["run_id"]))


def track_run(run: RunFolder, general: GeneralSettings) -> str:
    """Record the run at the user's request and return the tracking URI.

    Raises:
        InputError: it cannot be recorded.
    """
    if general.tracking.mlflow is False:
        raise InputError(
            f"{run.path}: tracking.mlflow is false in its config; add tracking.mlflow=true"
        )
    if missing := _find_missing_package(run.path.parent, general.tracking):
        raise InputError(f"tracking: {missing} is not installed: {INSTALL_COMMAND}")
    try:
        return record_run(run, general)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"tracking: not logged to MLflow ({_summarize_error(error)})") from error


def record_run(run: RunFolder, general: GeneralSettings, *, has_failed: bool = False) -> str:
    """Record the run, its model if it became champion, and the champion; return the tracking URI.

    Any error of MLflow is raised.

    Args:
        run: the run.
        general: the general settings.
        has_failed: whether the run failed.

    Raises:
        InputError: another process works in the run.
    """
    tracking, runs_folder = general.tracking, run.path.parent
    with silence_mlflow(), run.hold_lock():
        run_log = MlflowRunLog.open_log(runs_folder, tracking, general.name)
        status = "FINISHED" if run.get_artifact_path("summary").is_file() else "RUNNING"
        if has_failed:
            status = "FAILED"
        entry = run_log.log_run(run, tracking.experiment or general.name, status)
        if _has_champion_model(run):
            run_log.register_version(run, entry)
    update_champion_alias(runs_folder, general)
    return run_log.uri


def _has_champion_model(run: RunFolder) -> bool:
    """Return whether a run put a model in force when it ended."""
    if not run.get_artifact_path("verdict").is_file():
        return False
    return run.load_artifact("verdict").get("champion") in ("candidate", "baseline")


def update_champion_alias(runs_folder: Path, general: GeneralSettings) -> None:
    """Move the registry's alias to the config's champion, and record its run if that is missing."""
    tracking = general.tracking
    if champion_registry.read_pointer(runs_folder, general.name) is None:
        return
    with silence_mlflow():
        run_log = MlflowRunLog.open_log(runs_folder, tracking, general.name)

        def register_run(run: RunFolder) -> str:
            return run_log.register_version(run, _ensure_logged_entry(run_log, run, tracking))

        run_log.move_alias(register_run)


def _ensure_logged_entry(run_log: MlflowRunLog, run: RunFolder, tracking: TrackingSettings) -> Any:
    """Return MLflow's run for a run folder, which is recorded if needed."""
    experiment = tracking.experiment or str(mlflow_payload.read_run_config(run).get("name", "run"))
    entry = run_log.ensure_entry(run, experiment)
    if entry.data.tags.get("stages"):
        return entry
    return run_log.log_run(run, experiment, "FINISHED")
