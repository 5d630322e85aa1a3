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
Home = Annotated[Path, typer.Option("--runs", help="The folder of all runs.")]
HOME = Path("runs")


def show(value: Any, rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print `value` as JSON, or the rows as a table."""
    if as_json:
        print(json.dumps(value, indent=1, ensure_ascii=False))
        return
    grid = Grid(*(rows[0] if rows else ["nothing to list"]))
    for row in rows:
        grid.add_row(*(str(cell) for cell in row.values()))
    Console(markup=False, width=None if sys.stdout.isatty() else 160).print(grid)


def find_run(run: str, home: Path) -> Run:
    """The run of that name, or at that path. Raises `InputError` where there is none."""
    from pipeline.store import Run

    return Run.open(Path(run) if os.sep in run else home / run)
