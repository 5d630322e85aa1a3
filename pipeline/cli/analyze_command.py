"""`nightshift analyze`: the failures of any model, from its predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def run_analysis(
    images: Annotated[
        Path,
        typer.Option(help="CSV or Parquet: image_id, path, label; fold, group, captured_at, ..."),
    ],
    predictions: Annotated[
        Path, typer.Option(help="CSV or Parquet: image_id, and prob_<class> or logit_<class>.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write into.")],
    embeddings: Annotated[
        Path | None, typer.Option(help="The model's own embeddings, .npy, rows as predictions.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="The model to probe: ONNX (needs onnxruntime) or .pt2 (torch.export)."),
    ] = None,
    side: Annotated[
        int | None,
        typer.Option(
            min=16,
            max=1024,
            help="Side of the images, in pixels, unless the model fixes it "
            "(64; with a model of any size 224).",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
) -> None:
    """Find, confirm and describe the failure slices of any model, from its predictions."""
    from pipeline.analysis.analysis_inputs import AnalysisInputs
    from pipeline.analysis.external_analysis import analyze_predictions

    inputs = AnalysisInputs(images, predictions, embeddings, model, side)
    print(analyze_predictions(inputs, output, seed))
