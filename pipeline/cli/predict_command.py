"""`nightshift predict`: predictions of the model in force."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.command_options import DEFAULT_RUNS_FOLDER, RunsFolderOption
from pipeline.contracts import InputError

if TYPE_CHECKING:
    from pipeline.serving.prediction.predictor import Predictor


def _predict_one_by_one(predictor: Predictor, images: Iterable[Any]) -> Iterator[Any]:
    """Yield the rows of each image before the next one is read."""
    for image in images:
        yield from predictor.stream_rows([image])


def predict_images(
    model: Annotated[
        str,
        typer.Argument(help="champion, champion:NAME, a run, or an export (safetensors, ONNX)."),
    ],
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="Images, folders, tables, patterns, or -."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A .jsonl, .csv or .parquet file; empty: JSON lines, printed."
        ),
    ] = None,
    attributes: Annotated[
        str, typer.Option(help="Attributes to add, as in luminance,hour; or all.")
    ] = "",
    watch: Annotated[
        bool, typer.Option("--watch", help="Predict images as they arrive in the folder INPUT.")
    ] = False,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Predict class and probability of images, and whether to answer or to decline."""
    from pipeline.engine.progress_reporting import iterate_with_count, log_line
    from pipeline.serving.prediction import input_images, row_writers
    from pipeline.serving.prediction.predictor import load_predictor

    row_writers.check_output_name(output)
    if watch and (len(inputs) != 1 or output is None or output.suffix != ".jsonl"):
        raise InputError("--watch: name one folder, and with -o the .jsonl file to append rows to")
    attribute_names = [name for name in attributes.split(",") if name]
    predictor = load_predictor(model, runs_folder, attribute_names)
    for correction in predictor.engine.omitted_corrections:
        log_line(f"  predict: this file lacks a correction, so it is not applied: {correction}")
    counts = dict.fromkeys(("answer", "decline", "error"), 0)
    with row_writers.hold_output(output) if watch and output is not None else nullcontext():
        if watch and output is not None:
            known_paths, failed_paths = row_writers.read_predicted_paths(output)
            arriving = input_images.watch_folder(
                Path(inputs[0]), known_paths, failed_paths=failed_paths
            )
            rows: Any = _predict_one_by_one(predictor, arriving)
        else:
            rows = predictor.stream_rows(input_images.list_images(inputs, sys.stdin))
        counted_rows = row_writers.count_decisions(rows, counts)
        row_writers.write_rows(
            iterate_with_count("predict", counted_rows, "images"),
            predictor.columns,
            output,
            append=watch,
        )
    log_line(
        f"  predict: {counts['answer']:,} answered, {counts['decline']:,} declined, "
        f"{counts['error']:,} could not be read"
    )
    if output is not None:
        print(output)
    if counts["error"] and not counts["answer"] + counts["decline"]:
        raise typer.Exit(1)
