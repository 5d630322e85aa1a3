"""What all commands share."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table as Grid

if TYPE_CHECKING:
    from pipeline.storage.artifact_store import RunFolder

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_RUNS_FOLDER = Path("runs")


def resolve_runs_folder(path_or_address: str) -> Path:
    """The folder of all runs, local or mounted. Raises `InputError` for an address."""
    from pipeline.config import require_local_folder
    from pipeline.contracts import InputError

    try:
        return Path(require_local_folder(path_or_address))
    except ValueError as error:
        raise InputError(f"--runs: {error}") from error


RunsFolderOption = Annotated[
    Path, typer.Option("--runs", parser=resolve_runs_folder, help="The folder of all runs.")
]


def print_rows(json_value: Any, rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print `value` as JSON, or the rows as a table."""
    if as_json:
        print(json.dumps(json_value, indent=1, ensure_ascii=False))
        return
    grid = Grid(*(rows[0] if rows else ["nothing to list"]))
    for row in rows:
        grid.add_row(*(str(cell) for cell in row.values()))
    Console(markup=False, width=None if sys.stdout.isatty() else 160).print(grid)


ConfigRunsOption = Annotated[
    Path | None,
    typer.Option(
        "--runs", parser=resolve_runs_folder, help="The folder of all runs; empty: the config's."
    ),
]


def resolve_run_path(run: str, runs_folder: Path) -> Path:
    """The folder of the run of that name, or at that path. Raises `InputError` for an address."""
    if "://" in run:
        from pipeline.contracts import InputError

        raise InputError(f"{run}: bring it here first: nightshift runs pull {run}")
    return Path(run) if os.sep in run else runs_folder / run


def find_run(run: str, runs_folder: Path) -> RunFolder:
    """The run of that name, or at that path. Raises `InputError` where there is none."""
    from pipeline.storage.artifact_store import RunFolder

    return RunFolder.open_existing(resolve_run_path(run, runs_folder))
