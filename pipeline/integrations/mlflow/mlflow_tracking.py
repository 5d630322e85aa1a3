"""When MLflow is told of a run, and what is said where it cannot be: it never fails a run."""

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
from pipeline.engine.progress_reporting import log_line
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


def _find_missing_package(home: Path, tracking: TrackingSettings) -> str:
    """The first package that is not here and would be needed, or ""."""
    needed = ["mlflow", "matplotlib"]
    needed += (
        []
        if re.match("https?:|databricks", resolve_tracking_uri(home, tracking.uri))
        else ["sqlalchemy", "alembic"]
    )
    return next((name for name in needed if find_spec(name) is None), "")


def check_tracking(general: GeneralSettings) -> None:
    """Raises `InputError` where the config asks for MLflow and it is not here, or lays a password in the run folder."""
    tracking = general.tracking
    if _PASSWORD_PATTERN.search(tracking.uri or ""):
        raise InputError(
            "tracking.uri: a password in it would stand in every run's config and report; leave tracking.uri out and "
            "set MLFLOW_TRACKING_URI, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    if tracking.is_requested and (absent := _find_missing_package(general.runs, tracking)):
        raise InputError(
            f"tracking: MLflow is asked for and {absent} is not installed: {INSTALL_COMMAND}, or tracking.mlflow=false"
        )


def _summarize_error(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")[:200] or type(error).__name__


@contextmanager
def log_run_on_exit(
    run: RunFolder, general: GeneralSettings, *, should_defer: bool = False
) -> Iterator[None]:
    """Inside, work goes on in the run; afterwards MLflow is told of it, also of a failure, but not of a stop.

    quick: where the work succeeds it is left to a later call to tell."""
    try:
        yield
    except Exception:
        if list_finished_stages(run):  # else nothing was made that anybody would look for
            log_run_safely(run, general, has_failed=True)
        raise
    if not should_defer:
        log_run_safely(run, general)


def log_run_safely(run: RunFolder, general: GeneralSettings, *, has_failed: bool = False) -> None:
    """Tell MLflow of the run and of the champion in force; where that cannot be done, say so and go on."""
    if general.tracking.mlflow is False or os.environ.get("RANK", "0") != "0":
        return
    if absent := _find_missing_package(run.path.parent, general.tracking):
        log_line(
            f"  tracking: not logged to MLflow, {absent} is absent: {INSTALL_COMMAND}, or tracking.mlflow=false"
        )
        return
    try:
        record_run(run, general, has_failed=has_failed)
    except InputError as error:
        log_line(f"  tracking: not logged to MLflow: {error}")
    except (
        Exception
    ) as error:  # whatever a server, a network or a database may raise: the run stands without it
        log_line(
            f"  tracking: not logged to MLflow ({_summarize_error(error)}); log it later with: nightshift runs track {run.path}"
        )


def read_run_settings(run: RunFolder) -> GeneralSettings:
    """The general part of a run's own config. Raises `InputError` where it has none."""
    return read_general_settings(run.path / "config.yaml", [s.name for s in STAGES])


def log_changed_run(folder: Path) -> None:
    """Tell MLflow of a run that was changed by hand, as its own config says."""
    if (folder / "config.yaml").is_file():
        log_run_safely(RunFolder(folder), read_run_settings(RunFolder(folder)))


def log_moved_champion(home: Path, name: str) -> None:
    """Tell MLflow that a config's champion was moved by hand, as the run that is in force now is set to."""
    if known := champion_registry.read_pointer(home, name):
        log_changed_run(home / str(known["run_id"]))


def track_run(run: RunFolder, general: GeneralSettings) -> str:
    """Tell MLflow of the run because somebody asked for that; returns where. Raises `InputError` where it cannot be."""
    if general.tracking.mlflow is False:
        raise InputError(
            f"{run.path}: tracking.mlflow is false in its config; add tracking.mlflow=true"
        )
    if absent := _find_missing_package(run.path.parent, general.tracking):
        raise InputError(f"tracking: {absent} is not installed: {INSTALL_COMMAND}")
    try:
        return record_run(run, general)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"tracking: not logged to MLflow ({_summarize_error(error)})") from error


def record_run(run: RunFolder, general: GeneralSettings, *, has_failed: bool = False) -> str:
    """Tell MLflow of the run, of each of its models that was put in force, and of the champion; returns where.

    Raises `InputError` where another process is at work in the run, and whatever MLflow raises.
    """
    tracking, home = general.tracking, run.path.parent
    with silence_mlflow(), run.hold_lock():
        book = MlflowRunLog.open_log(home, tracking, general.name)
        through = "FINISHED" if run.get_artifact_path("summary").is_file() else "RUNNING"
        entry = book.log_run(
            run, tracking.experiment or general.name, "FAILED" if has_failed else through
        )
        if run.get_artifact_path("verdict").is_file() and run.load_artifact("verdict").get(
            "champion"
        ) in ("candidate", "baseline"):
            book.register_version(run, entry)
    update_champion_alias(home, general)
    return book.uri


def update_champion_alias(home: Path, general: GeneralSettings) -> None:
    """Move the registry's alias to the config's champion, whose run is told of where MLflow does not know it."""
    tracking = general.tracking
    if champion_registry.read_pointer(home, general.name) is None:
        return
    with silence_mlflow():
        book = MlflowRunLog.open_log(home, tracking, general.name)
        book.move_alias(
            lambda run: book.register_version(run, _ensure_logged_entry(book, run, tracking))
        )


def _ensure_logged_entry(run_log: MlflowRunLog, run: RunFolder, tracking: TrackingSettings) -> Any:
    experiment = tracking.experiment or str(mlflow_payload.read_run_config(run).get("name", "run"))
    entry = run_log.ensure_entry(run, experiment)
    return entry if entry.data.tags.get("stages") else run_log.log_run(run, experiment, "FINISHED")
