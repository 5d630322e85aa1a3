"""`nightshift review`: decisions of reviewers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.command_options import DEFAULT_RUNS_FOLDER, RunsFolderOption

app = typer.Typer(help="Apply the decisions of reviewers.", no_args_is_help=True)


@app.callback()
def define_review_group() -> None:
    """Apply the decisions of reviewers."""


@app.command("apply")
def apply_review_file(
    file: Annotated[Path, typer.Argument(help="The file that a report saved.")],
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Apply a reviewer's decisions, so that the next run uses them."""
    from pipeline.storage import review_decisions

    review = review_decisions.apply_review_file(runs_folder, file)
    print(
        f"{len(review.slices)} slices and {len(review.labels)} labels of {review.run_id}: "
        "in force from the next run on"
    )
    print(runs_folder / review_decisions.REVIEW_FILE_NAME)
