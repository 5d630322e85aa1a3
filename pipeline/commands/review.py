"""`nightshift review ...`: what reviewers decided in a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.shared import HOME, Home

app = typer.Typer(help="What reviewers decided in a report.", no_args_is_help=True)


@app.callback()
def reviews() -> None:
    """What reviewers decided in a report."""


@app.command("apply")
def review_apply(file: Annotated[Path, typer.Argument(help="What a report saved.")], home: Home = HOME) -> None:
    """Take a reviewer's decisions in: the next run knows them."""
    from pipeline.evidence import review

    taken = review.apply(home, file)
    print(f"{len(taken.slices)} slices and {len(taken.labels)} labels of {taken.run_id}: in force from the next run on")
    print(home / review.FILE)
