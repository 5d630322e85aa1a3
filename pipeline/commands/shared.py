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
    from pipeline.store import Run

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
HOME = Path("runs")


def home_of(place: str) -> Path:
    """The folder of all runs: as given, or the working copy of an address. Raises `InputError`."""
    from pipeline.remote import working_copy

    return Path(working_copy(str(place)))


Home = Annotated[Path, typer.Option("--runs", parser=home_of, help="The folder of all runs, or s3://BUCKET/FOLDER.")]


def show(value: Any, rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print `value` as JSON, or the rows as a table."""
    if as_json:
        print(json.dumps(value, indent=1, ensure_ascii=False))
        return
    grid = Grid(*(rows[0] if rows else ["nothing to list"]))
    for row in rows:
        grid.add_row(*(str(cell) for cell in row.values()))
    Console(markup=False, width=None if sys.stdout.isatty() else 160).print(grid)
OwnHome = Annotated[
    Path | None, typer.Option("--runs", parser=home_of, help="The folder of all runs; empty: the config's.")
]


def folder_of(run: str, home: Path) -> Path:
    """The folder of the run of that name, or at that path or address."""
    if "://" in run:
        return home_of(run.rpartition("/")[0]) / run.rpartition("/")[2]
    return Path(run) if os.sep in run else home / run


def find_run(run: str, home: Path, whole: bool = False) -> Run:
    """The run of that name, or at that path or address. Raises `InputError` where there is none.

    whole: of a run in a store all stages are brought here, not only those that tell how it ended."""
    from pipeline import mirror
    from pipeline.store import Run

    folder = folder_of(run, home)
    mirror.fetch(folder, mirror.STAGE_NAMES if whole else ("promote", "report"))
    return Run.open(folder)
