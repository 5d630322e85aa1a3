"""`nightshift export`: a run's model as a file for elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.shared import HOME, Home


def export(
    run: Annotated[str, typer.Argument(help="champion, or a run.")],
    form: Annotated[str, typer.Option("--format", help="onnx, torch, safetensors or mlflow.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A new folder; empty: exports/RUN/FORMAT.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the folder.")] = False,
    home: Home = HOME,
) -> None:
    """Write a run's model with its preprocessing, corrections and decline rule, and a model card beside it."""
    from pipeline.export import work

    path, lines = work.export(run, home, form, output, force)
    for line in lines:
        print(line)
    print(path)
