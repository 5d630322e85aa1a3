"""Inference with a bundle's network, or with an ONNX file of `nightshift export`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.contracts import InputError
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import load_model
from pipeline.learning.models.onnx_model import open_session
from pipeline.learning.models.program_export import INPUT_NAME, METADATA_KEY
from pipeline.remedies import apply_remedy
from pipeline.storage.bundle_record import (
    RECORD_FILE,
    check_bundle_fields,
    check_bundle_format,
    read_bundle_record,
)

Pixels = NDArray[np.uint8]
SliceMasks = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class EnginePredictions:
    """Predictions for N images.

    Attributes:
        probabilities: calibrated, float64 [N, classes].
        is_answered: whether the image is answered rather than declined, bool [N].
        applied_corrections: description of the correction of each image, "" for none.
    """

    probabilities: NDArray[np.float64]
    is_answered: NDArray[np.bool_]
    applied_corrections: list[str]


class InferenceEngine(Protocol):
    """Something that predicts a batch of images.

    Attributes:
        meta: record of the bundle: classes, side, policy, slices and more.
        omitted_corrections: descriptions of the bundle's corrections that are not applied.
    """

    meta: Mapping[str, Any]
    omitted_corrections: Sequence[str]

    def predict_pixels(self, pixels: Pixels, slice_masks: SliceMasks) -> EnginePredictions:
        """Return the predictions for a batch.

        Args:
            pixels: uint8 [N, S, S, 3], RGB.
            slice_masks: bool [N] by slice: whether its image rule admits each image.
        """
        ...


class NetworkEngine:
    """The network of a bundle's folder, run by torch."""

    omitted_corrections: Sequence[str] = ()

    def __init__(self, folder: Path) -> None:
        """Load the network from a folder with `model.safetensors` and `bundle.json`.

        Raises:
            InputError: the folder is not a bundle of this version.
        """
        self.meta: Mapping[str, Any] = read_bundle_record(folder)
        check_bundle_fields(self.meta, str(folder / RECORD_FILE))
        self.network, _ = load_model(folder)

    def _apply_corrections(
        self, pixels: Pixels, slice_masks: SliceMasks
    ) -> tuple[Pixels, list[str]]:
        """Return corrected pixels and the description of each image's correction.

        An image gets at most one correction, the first whose slice admits it.
        """
        corrected = pixels.copy()
        descriptions = [""] * len(pixels)
        for correction in self.meta["policy"]["corrections"]:
            members = np.flatnonzero(slice_masks[correction["slice"]])
            rows = [row for row in members if not descriptions[row]]
            if not rows:
                continue
            strength = correction["strength"]
            corrected[rows] = apply_remedy(
                correction["remedy"], corrected[rows], strength, strength, seed=0
            )
            for row in rows:
                descriptions[row] = correction["words"]
        return corrected, descriptions

    def predict_pixels(self, pixels: Pixels, slice_masks: SliceMasks) -> EnginePredictions:
        """Return the predictions for a batch; see `InferenceEngine`."""
        corrected, descriptions = self._apply_corrections(pixels, slice_masks)
        temperature = float(self.meta.get("temperature") or 1.0)
        logits = compute_logits(self.network, corrected, self.meta).astype(np.float64)
        probabilities = softmax(logits / temperature, axis=1)
        threshold = self.meta["policy"]["decline"]["threshold"]
        is_answered = probabilities.max(1) >= (np.inf if threshold is None else threshold)
        return EnginePredictions(probabilities, is_answered, descriptions)


class GraphEngine:
    """An ONNX file of `nightshift export`, run by onnxruntime: it corrects and decides itself."""

    def __init__(self, path: Path) -> None:
        """Open an ONNX file.

        Raises:
            InputError: it is not an ONNX file, or `nightshift export` did not write it.
        """
        self.session = open_session(path)
        metadata = self.session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if metadata is None:
            raise InputError(
                f"{path}: not written by nightshift export; "
                "for another model use nightshift analyze --model"
            )
        self.meta: Mapping[str, Any] = _read_metadata(metadata, path)
        corrections = self.meta["graph"]["corrections"]
        self.correction_words = [item["words"] for item in corrections if item["is_carried"]]
        self.omitted_corrections: Sequence[str] = [
            f"{item['words']} if {item['when']}" for item in corrections if not item["is_carried"]
        ]

    def predict_pixels(self, pixels: Pixels, slice_masks: SliceMasks) -> EnginePredictions:
        """Return the predictions for a batch; the graph ignores `slice_masks` and measures itself.

        See `InferenceEngine`.
        """
        _, probabilities, is_answered, correction_rows = self.session.run(
            None, {INPUT_NAME: pixels}
        )
        descriptions = [self.correction_words[k] if k >= 0 else "" for k in correction_rows]
        return EnginePredictions(probabilities.astype(np.float64), is_answered, descriptions)


def _read_metadata(text: str, path: Path) -> Mapping[str, Any]:
    """Return the record in an exported graph.

    Raises:
        InputError: it is damaged, or of another version.
    """
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: its metadata cannot be read ({error}); export it again"
        ) from error
    if not isinstance(record, dict) or not isinstance(record.get("graph"), dict):
        raise InputError(f"{path}: its metadata is no record of a model; export it again")
    check_bundle_format(record, str(path))
    check_bundle_fields(record, str(path))
    return record


def open_engine(path: Path) -> InferenceEngine:
    """Return the engine of a bundle's folder, or of an ONNX file of `nightshift export`.

    Raises:
        InputError: `path` is neither.
    """
    return NetworkEngine(path) if path.is_dir() else GraphEngine(path)
