"""`nightshift export`: a run's model as a file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.command_options import DEFAULT_RUNS_FOLDER, RunsFolderOption


def export_run(
    run: Annotated[str, typer.Argument(help="champion, champion:NAME, or a run.")],
    export_format: Annotated[
        str, typer.Option("--format", help="onnx, torch, safetensors or mlflow.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A new folder; empty: exports/RUN/FORMAT.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the folder.")] = False,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Write a model with its preprocessing, corrections and decline rule, and a model card."""
    from pipeline.serving.export import model_export

    path, lines = model_export.export_model(run, runs_folder, export_format, output, force)
    for line in lines:
        print(line)
    print(path)
