"""The analysis of a model from Python: `nightshift.analyze`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.analysis.analysis_inputs import AnalysisInputs
from pipeline.analysis.external_analysis import analyze_predictions
from pipeline.analysis.python_model import PredictFunction
from pipeline.contracts import InputError


def analyze(
    images: str | Path,
    predict: PredictFunction | None = None,
    *,
    predictions: str | Path | None = None,
    model: str | Path | None = None,
    embeddings: str | Path | None = None,
    classes: Sequence[str] | None = None,
    output: str | Path = "analysis",
    side: int | None = None,
    seed: int = 0,
) -> Path:
    """Find, confirm and describe the slices of any model; return the path of the page.

    Args:
        images: CSV or Parquet with `image_id`, `path` and `label`.
        predict: the model: images uint8 [H, W, 3] (RGB) to scores [N, classes]. Scaling and
            resizing are its own; interventions reach it as images of `side`.
        predictions: CSV or Parquet with `image_id` and `prob_<class>` or `logit_<class>`; None to
            ask `predict`.
        model: an ONNX or `.pt2` file, instead of `predict`.
        embeddings: the model's embeddings, `.npy`, with the rows of the predictions.
        classes: the classes in the order of the scores of `predict`; None for sorted labels.
        output: the folder to write to.
        side: side of the images in pixels, unless the model fixes it.
        seed: seed of everything random.

    Raises:
        InputError: something cannot be used; the message is one line.
    """
    if predict and model:
        raise InputError("analyze: both predict and model; give one of them")
    inputs = AnalysisInputs(
        Path(images),
        _convert_to_path(predictions),
        _convert_to_path(embeddings),
        _convert_to_path(model),
        side,
        predict,
        None if classes is None else tuple(map(str, classes)),
    )
    return analyze_predictions(inputs, Path(output), seed)


def _convert_to_path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)
