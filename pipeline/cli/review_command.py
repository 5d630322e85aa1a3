"""`nightshift review ...`: what reviewers decided in a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.command_options import DEFAULT_RUNS_FOLDER, RunsFolderOption

app = typer.Typer(help="What reviewers decided in a report.", no_args_is_help=True)


@app.callback()
def define_review_group() -> None:
    """What reviewers decided in a report."""


@app.command("apply")
def apply_review_file(
    file: Annotated[Path, typer.Argument(help="What a report saved.")],
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Take a reviewer's decisions in: the next run knows them."""
    from pipeline.storage import review_decisions

    taken = review_decisions.apply_review_file(runs_folder, file)
    print(
        f"{len(taken.slices)} slices and {len(taken.labels)} labels of {taken.run_id}: in force from the next run on"
    )
    print(runs_folder / review_decisions.REVIEW_FILE_NAME)
