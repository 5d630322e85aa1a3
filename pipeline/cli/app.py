"""The command line: its commands, and the exit code of each kind of ending.

Heavy modules are imported inside the commands, so that `--help` is fast.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import sys
import traceback
from typing import Annotated

import typer

from pipeline import __version__
from pipeline.cli.analyze_command import run_analysis
from pipeline.cli.command_options import JsonOption, print_rows
from pipeline.cli.datasets_command import app as datasets_app
from pipeline.cli.demo_command import run_demo
from pipeline.cli.export_command import export_run
from pipeline.cli.init_command import write_initial_config
from pipeline.cli.label_command import label_images
from pipeline.cli.monitor_command import monitor_predictions
from pipeline.cli.notify_command import send_notification
from pipeline.cli.predict_command import predict_images
from pipeline.cli.review_command import app as review_app
from pipeline.cli.run_command import render_run_report, run_pipeline, run_single_stage
from pipeline.cli.runs_command import app as runs_app
from pipeline.cli.settings_command import print_settings
from pipeline.contracts import InputError
from pipeline.storage import signals

UNWRITABLE_ERRNOS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EIO, errno.ENAMETOOLONG, errno.EFBIG, errno.EMFILE),
}
"""Errors of a full or broken disk and of a file or folder without permission.

The user can fix them."""
EXIT_BAD_INPUT = 2
EXIT_DEFECT = 70  # EX_SOFTWARE of sysexits.h
EXIT_TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


def _print_version(is_requested: bool) -> None:
    if is_requested:
        print(f"nightshift {__version__}")
        raise typer.Exit


@app.callback()
def _define_root_options(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Find the failures of an image classifier, name their cause, and prove the remedy."""


app.command("demo")(run_demo)
app.command("init")(write_initial_config)
app.command("run")(run_pipeline)
app.command("stage")(run_single_stage)
app.command("report")(render_run_report)
app.command("analyze")(run_analysis)
app.command("predict")(predict_images)
app.command("export")(export_run)
app.command("monitor")(monitor_predictions)
app.command("label")(label_images)
app.command("notify")(send_notification)
app.command("settings")(print_settings)
app.add_typer(runs_app, name="runs")
app.add_typer(datasets_app, name="datasets")
app.add_typer(review_app, name="review")


@app.command("graph")
def print_graph(as_json: JsonOption = False) -> None:
    """Print the stages, the artifacts that each needs, and those that it makes."""
    from pipeline.graph import STAGES

    stages, rows = [], []
    for stage in STAGES:
        makes = list(stage.makes)
        stages.append({"stage": stage.name, "needs": stage.needs, "makes": makes})
        rows.append(
            {"stage": stage.name, "needs": ", ".join(stage.needs), "makes": ", ".join(makes)}
        )
    print_rows(stages, rows, as_json)


@app.command("doctor")
def print_environment_checks(as_json: JsonOption = False) -> None:
    """Examine this machine, and print missing parts."""
    from pipeline.cli.environment_checks import check_environment

    rows = [vars(result) for result in check_environment()]
    print_rows(rows, rows, as_json)
    raise typer.Exit(1 if any(row["status"] == "bad" for row in rows) else 0)


def _print_error(message: object) -> None:
    # Names of files and texts of others must not steer the terminal.
    text = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in str(message))
    print(f"nightshift: {text}", file=sys.stderr)


def _find_disk_error(error: BaseException) -> OSError | None:
    """Return the error of the disk behind an error, or None.

    `shutil` lists the errors of a tree as text only, and libraries raise errors of their own while
    they handle one of the disk.
    """
    if isinstance(error, shutil.Error):
        for _, target, reason in error.args[0]:
            for number in UNWRITABLE_ERRNOS:
                if f"[Errno {number}]" in str(reason):
                    return OSError(number, os.strerror(number), str(target))
    if isinstance(error, OSError) and error.errno in UNWRITABLE_ERRNOS:
        return error
    behind = error.__cause__ or error.__context__
    return _find_disk_error(behind) if behind is not None else None


def _run_app() -> int:
    """Run the command line, and return its exit code (see `main`)."""
    try:
        app()
        return 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except InputError as error:
        _print_error(error)
        return error.exit_code
    except signals.StopSignal as stop:
        _print_error(f"stopped by {stop}")
        return stop.exit_code
    except Exception as error:
        disk_error = _find_disk_error(error)
        if disk_error is not None:
            place = f"{disk_error.filename}: " if disk_error.filename else ""
            _print_error(f"{place}{os.strerror(disk_error.errno or 0)}")
            return EXIT_BAD_INPUT
        if isinstance(error, ConnectionError):
            _print_error(error)
            return EXIT_TRY_AGAIN
        traceback.print_exc()  # a defect must not look like a failed condition or bad input
        return EXIT_DEFECT


def main() -> None:
    """Run the command line, and end the process with its exit code.

    - 0: good.
    - 1: a condition failed.
    - 2: bad config or input, or a place that cannot be written; one line names it.
    - 70: a defect.
    - 75: another process works in the run, or an object store does not respond; try again.
    - 128 + n: stopped by signal n.
    """
    signals.install_handlers()
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may not be text
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(_run_app())


if __name__ == "__main__":
    main()
