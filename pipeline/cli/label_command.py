"""`nightshift label`: images whose labels decide between two models."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.command_options import DEFAULT_RUNS_FOLDER, JsonOption, RunsFolderOption
from pipeline.contracts import InputError

APPLY = "apply"


def label_images(
    model: Annotated[
        str, typer.Argument(metavar="RUN|champion|apply", help="A run, champion, or apply.")
    ],
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Arriving images; a batch to apply.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The batch to write, a .csv file.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Images to label.")] = 200,
    as_json: JsonOption = False,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """List images on which two models disagree; `label apply BATCH` shows what labels decide."""
    from pipeline.report.sentences import label_sentences
    from pipeline.serving.labeling import label_batch
    from pipeline.serving.prediction.input_images import list_images

    if model == APPLY:
        if len(inputs) != 1 or output is not None:
            raise InputError("name the batch with its labels: nightshift label apply batch.csv")
        found = label_batch.apply_label_batch(Path(inputs[0]), runs_folder)
        lines = label_sentences.describe_label_evidence(found)
    else:
        if output is None:
            raise InputError("name the batch to write, as in: nightshift label RUN IMAGES -o b.csv")
        images = list_images(inputs, sys.stdin)
        found = label_batch.write_label_batch(model, runs_folder, images, output, count)
        lines = [*label_sentences.describe_label_batch(found), str(output)]
    print(json.dumps(found, indent=1) if as_json else "\n".join(lines))
