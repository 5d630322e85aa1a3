"""Options, arguments and output that several commands share."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from pipeline.engine.run_publishing import RunOutcome
    from pipeline.storage.artifact_store import RunFolder

DEFAULT_RUNS_FOLDER = Path("runs")
PIPED_TABLE_WIDTH = 160
"""Characters of a table that goes to a file or a pipe: two paths and a sentence fit."""


def resolve_runs_folder(path_or_address: str) -> Path:
    """Return the folder of all runs, local or mounted.

    Raises:
        InputError: it is an address.
    """
    from pipeline.config import require_local_folder
    from pipeline.contracts import InputError

    try:
        return Path(require_local_folder(path_or_address))
    except ValueError as error:
        raise InputError(f"--runs: {error}") from error


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The YAML config.")]
OptionalConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="The YAML config.")
]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[STAGE.KEY=VALUE]...", help="Settings that override the file's."),
]
RunsFolderOption = Annotated[
    Path, typer.Option("--runs", parser=resolve_runs_folder, help="The folder of all runs.")
]
ConfigRunsOption = Annotated[
    Path | None,
    typer.Option(
        "--runs", parser=resolve_runs_folder, help="The folder of all runs; empty: the config's."
    ),
]


def print_rows(json_value: Any, rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print a value as JSON, or rows as a table.

    Args:
        json_value: printed with `as_json`.
        rows: printed otherwise; the keys of the first are the headings.
        as_json: which of the two.
    """
    if as_json:
        print(json.dumps(json_value, indent=1, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*(rows[0] if rows else ["nothing to list"]))
    for row in rows:
        table.add_row(*map(str, row.values()))
    width = None if sys.stdout.isatty() else PIPED_TABLE_WIDTH
    Console(markup=False, width=width).print(table)


def resolve_run_path(run: str, runs_folder: Path) -> Path:
    """Return the folder of the run with this name or path.

    Raises:
        InputError: it is an address, or the name is empty, hidden or otherwise no name of a run.
    """
    from pipeline.contracts import InputError
    from pipeline.storage.run_record import check_run_id

    if "://" in run:
        raise InputError(f"{run}: download it first: nightshift runs pull {run}")
    path = Path(run) if os.sep in run else runs_folder / run
    is_new_with_slash = run.endswith(os.sep) and not (path / "run.json").exists()
    name = "" if is_new_with_slash else run.rstrip(os.sep).rpartition(os.sep)[2]
    check_run_id(name, run)
    return path


def find_run(run: str, runs_folder: Path) -> RunFolder:
    """Return the run with this name or path.

    Raises:
        InputError: there is none.
    """
    from pipeline.storage.artifact_store import RunFolder

    return RunFolder.open_existing(resolve_run_path(run, runs_folder))


def exit_with_outcome(outcome: RunOutcome) -> NoReturn:
    """Print a run's verdict and its report's path, and exit with 0, or 1 for a failed condition."""
    if outcome.headline:
        print(outcome.headline)
    for line in outcome.data_faults:
        print(line)
    print(outcome.report_path or outcome.run.path)
    raise typer.Exit(0 if outcome.has_passed else 1)
