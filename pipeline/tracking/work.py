"""When MLflow is told of a run, and what is said where it cannot be: it never fails a run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline import champion
from pipeline.config import General, Tracking, general_of
from pipeline.contracts import InputError
from pipeline.graph import STAGES
from pipeline.progress import say
from pipeline.store import Run, finished
from pipeline.tracking import told
from pipeline.tracking.book import Book, place, quiet

INSTALL = "pip install 'nightshift[mlflow]'"
_PASSWORD = re.compile(r"//[^/@]*:[^/@]*@")


def _absent(home: Path, tracking: Tracking) -> str:
    """The first package that is not here and would be needed, or ""."""
    needed = ["mlflow", "matplotlib"]
    needed += [] if re.match("https?:|databricks", place(home, tracking.uri)) else ["sqlalchemy", "alembic"]
    return next((name for name in needed if find_spec(name) is None), "")


def check(general: General) -> None:
    """Raises `InputError` where the config asks for MLflow and it is not here, or lays a password in the run folder."""
    tracking = general.tracking
    if _PASSWORD.search(tracking.uri or ""):
        raise InputError(
            "tracking.uri: a password in it would stand in every run's config and report; leave tracking.uri out and "
            "set MLFLOW_TRACKING_URI, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    if tracking.asked and (absent := _absent(general.runs, tracking)):
        raise InputError(
            f"tracking: MLflow is asked for and {absent} is not installed: {INSTALL}, or tracking.mlflow=false"
        )


def _why(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")[:200] or type(error).__name__


@contextmanager
def tracked(run: Run, general: General, *, quick: bool = False) -> Iterator[None]:
    """Inside, work goes on in the run; afterwards MLflow is told of it, also of a failure, but not of a stop.

    quick: where the work succeeds it is left to a later call to tell."""
    try:
        yield
    except Exception:
        if finished(run):  # else nothing was made that anybody would look for
            tell(run, general, failed=True)
        raise
    if not quick:
        tell(run, general)


def tell(run: Run, general: General, *, failed: bool = False) -> None:
    """Tell MLflow of the run and of the champion in force; where that cannot be done, say so and go on."""
    if general.tracking.mlflow is False or os.environ.get("RANK", "0") != "0":
        return
    if absent := _absent(run.path.parent, general.tracking):
        say(f"  tracking: not logged to MLflow, {absent} is absent: {INSTALL}, or tracking.mlflow=false")
        return
    try:
        record(run, general, failed=failed)
    except InputError as error:
        say(f"  tracking: not logged to MLflow: {error}")
    except Exception as error:  # whatever a server, a network or a database may raise: the run stands without it
        say(f"  tracking: not logged to MLflow ({_why(error)}); log it later with: nightshift runs track {run.path}")


def settings_of(run: Run) -> General:
    """The general part of a run's own config. Raises `InputError` where it has none."""
    return general_of(run.path / "config.yaml", [s.name for s in STAGES])


def retell(folder: Path) -> None:
    """Tell MLflow of a run that was changed by hand, as its own config says."""
    if (folder / "config.yaml").is_file():
        tell(Run(folder), settings_of(Run(folder)))


def moved(home: Path) -> None:
    """Tell MLflow that the champion's pointer was moved by hand, as the run that is in force now is set to."""
    if known := champion.pointer(home):
        retell(home / str(known["run_id"]))


def track(run: Run, general: General) -> str:
    """Tell MLflow of the run because somebody asked for that; returns where. Raises `InputError` where it cannot be."""
    if general.tracking.mlflow is False:
        raise InputError(f"{run.path}: tracking.mlflow is false in its config; add tracking.mlflow=true")
    if absent := _absent(run.path.parent, general.tracking):
        raise InputError(f"tracking: {absent} is not installed: {INSTALL}")
    try:
        return record(run, general)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"tracking: not logged to MLflow ({_why(error)})") from error


def record(run: Run, general: General, *, failed: bool = False) -> str:
    """Tell MLflow of the run, of each of its models that was put in force, and of the champion; returns where.

    Raises `InputError` where another process is at work in the run, and whatever MLflow raises.
    """
    tracking, home = general.tracking, run.path.parent
    with quiet(), run.lock():
        book = Book.open(home, tracking.uri, tracking.model)
        through = "FINISHED" if run.file("summary").is_file() else "RUNNING"
        entry = book.log(run, tracking.experiment or general.name, "FAILED" if failed else through)
        if run.file("verdict").is_file() and run.load("verdict").get("champion") != "kept":
            book.version(run, entry)
    follow(home, tracking)
    return book.uri


def follow(home: Path, tracking: Tracking) -> None:
    """Move the registry's alias to the champion in force, whose run is told of where MLflow does not know it."""
    if champion.pointer(home) is None:
        return
    with quiet():
        book = Book.open(home, tracking.uri, tracking.model)
        book.point(lambda run: book.version(run, _entry(book, run, tracking)))


def _entry(book: Book, run: Run, tracking: Tracking) -> Any:
    experiment = tracking.experiment or str(told.config_of(run).get("name", "run"))
    entry = book.entry(run, experiment)
    return entry if entry.data.tags.get("stages") else book.log(run, experiment, "FINISHED")
