"""The files or functions of a user that an analysis starts from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.analysis.prediction_tables import (
    align_predictions,
    read_embeddings,
    read_image_table,
    read_predictions,
)
from pipeline.analysis.python_model import IMAGES_PER_CALL, PredictFunction, PythonModel
from pipeline.contracts import InputError
from pipeline.data.reading.image_decoding import ImageError, decode_image
from pipeline.data.reading.image_sources import read_file
from pipeline.data.reading.ordered_threads import map_in_order
from pipeline.learning.models.external_model import ExternalModel, convert_to_logits
from pipeline.learning.models.onnx_model import load_onnx_model
from pipeline.learning.models.program_model import load_program_model

DEFAULT_SIDE_PX = 64
DEFAULT_MODEL_SIDE_PX = 224
"""Side for a model that takes images of any size."""


@dataclass(frozen=True)
class AnalysisInputs:
    """What the user gives.

    Attributes:
        images_path: the table of images.
        predictions_path: the table of predictions; None to ask `predict`.
        embeddings_path: embeddings of the model, with the rows of the predictions; None for none.
        model_path: an ONNX model or a `.pt2` program; None for none.
        side: side of the images, in pixels, unless the model fixes it; None for the default.
        predict: the model as a function; None for none.
        classes: the classes in the order of the scores of `predict`; None for sorted labels.
    """

    images_path: Path
    predictions_path: Path | None = None
    embeddings_path: Path | None = None
    model_path: Path | None = None
    side: int | None = None
    predict: PredictFunction | None = None
    classes: tuple[str, ...] | None = None

    @property
    def model_source(self) -> str:
        """Return the model's file or argument, for messages."""
        return str(self.model_path) if self.model_path else "predict"


@dataclass(frozen=True)
class GivenPredictions:
    """The table of images with the predictions for its rows.

    Attributes:
        table: the table of images, [N] rows.
        folds: fold of each image; None if the table has none.
        class_names: the classes.
        logits: float32 [N, classes].
        model: the model; None without one.
        embeddings: float32 [N, features] of the user's model; None without them.
    """

    table: pd.DataFrame
    folds: NDArray[np.intp] | None
    class_names: list[str]
    logits: NDArray[np.float32]
    model: ExternalModel | None = None
    embeddings: NDArray[np.float32] | None = field(default=None)

    def list_image_paths(self, manifest: Path) -> list[Path]:
        """Return the path of each image; paths are relative to the table's folder."""
        return [manifest.parent / path for path in self.table["path"]]


def load_predictions(inputs: AnalysisInputs, add_note: Callable[[str], None]) -> GivenPredictions:
    """Return the images, the predictions and the model that the user gives.

    Args:
        inputs: what the user gives.
        add_note: called with a line for the report.

    Raises:
        InputError: a file cannot be used, or files do not match.
    """
    model = _load_model_file(inputs)
    table, folds = read_image_table(inputs.images_path)
    if inputs.predictions_path is None:
        return _ask_model(inputs, table, folds)
    ids, names, logits = read_predictions(inputs.predictions_path, add_note)
    rows = align_predictions(table, ids, names, (inputs.images_path, inputs.predictions_path))
    if inputs.predict:
        model = _build_python_model(inputs, inputs.predict, names)
    embeddings = None
    if inputs.embeddings_path is not None:
        embeddings = read_embeddings(inputs.embeddings_path, len(ids))[rows]
    return GivenPredictions(table, folds, names, logits[rows], model, embeddings)


def _load_model_file(inputs: AnalysisInputs) -> ExternalModel | None:
    if inputs.model_path is None:
        return None
    side = inputs.side or DEFAULT_MODEL_SIDE_PX
    if inputs.model_path.suffix == ".pt2":
        return load_program_model(inputs.model_path, side)
    return load_onnx_model(inputs.model_path, side)


def _build_python_model(
    inputs: AnalysisInputs, predict: PredictFunction, names: Sequence[str]
) -> PythonModel:
    """Return the user's function with the columns of its scores in the order of `names`.

    Raises:
        InputError: `classes` names other classes.
    """
    side = inputs.side or DEFAULT_MODEL_SIDE_PX
    classes = list(inputs.classes or names)
    if sorted(classes) != sorted(names):
        raise InputError(
            f"classes: {classes[:5]} are not the classes {list(names)[:5]} of the data"
        )
    order = [classes.index(name) for name in names]
    return PythonModel(lambda images: np.asarray(predict(images))[:, order], side, len(names))


def _ask_model(
    inputs: AnalysisInputs, table: pd.DataFrame, folds: NDArray[np.intp] | None
) -> GivenPredictions:
    """Return what the user's function predicts on the images at their own size."""
    if inputs.predict is None:
        raise InputError("predictions: none are given, and no function to predict with")
    if inputs.embeddings_path is not None:
        raise InputError("embeddings: they have the rows of the predictions; give both or neither")
    names = list(inputs.classes or sorted(table["label"].unique()))
    unknown = sorted(set(table["label"]) - set(names))
    if unknown:
        raise InputError(f"{inputs.images_path}: label {unknown[0]!r} is not among `classes`")
    model = _build_python_model(inputs, inputs.predict, names)
    paths = [inputs.images_path.parent / path for path in table["path"]]
    parts = []
    for start in range(0, len(paths), IMAGES_PER_CALL):
        images = list(map_in_order(paths[start : start + IMAGES_PER_CALL], _decode_file))
        parts.append(model.predict_images(images))
    return GivenPredictions(table, folds, names, convert_to_logits(np.concatenate(parts)), model)


def _decode_file(path: Path) -> NDArray[np.uint8]:
    try:
        return decode_image(read_file(str(path)))
    except ImageError as error:
        raise InputError(f"{path}: cannot be used ({error}); remove its row") from error
