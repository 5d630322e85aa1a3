"""Who answers: the bundle's network with predict's corrections, or an exported graph that makes its own."""

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
from pipeline.storage.artifact_store import read_json

Pixels = NDArray[np.uint8]
SliceMasks = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class EnginePredictions:
    """chance: calibrated probabilities float64 [N, classes]; sure: bool [N], whether to answer; done: what was done to
    each image before the model looked, in words."""

    probabilities: NDArray[np.float64]
    is_answered: NDArray[np.bool_]
    applied_corrections: list[str]


class InferenceEngine(Protocol):
    """meta: the bundle. left_out: in words, the corrections of the bundle that are not made."""

    meta: Mapping[str, Any]
    omitted_corrections: Sequence[str]

    def predict_pixels(self, pixels: Pixels, slice_masks: SliceMasks) -> EnginePredictions:
        """pixels: uint8 [N, S, S, 3]; members: bool [N] for each slice, by its image rule."""
        ...


class NetworkEngine:
    """A bundle's folder: the network under torch."""

    omitted_corrections: Sequence[str] = ()

    def __init__(self, folder: Path) -> None:
        """folder: holds `model.safetensors`, its description and `bundle.json`; raises `InputError`."""
        self.network, _ = load_model(folder)
        self.meta: Mapping[str, Any] = read_json(folder / "bundle.json")

    def _apply_corrections(
        self, pixels: Pixels, slice_masks: SliceMasks
    ) -> tuple[Pixels, list[str]]:
        """The pixels that the model is shown, and in words what was done to each image; one correction a image."""
        shown, done = pixels.copy(), [""] * len(pixels)
        for item in self.meta["policy"]["corrections"]:
            here = [k for k in np.flatnonzero(slice_masks[item["slice"]]) if not done[k]]
            if here:
                shown[here] = apply_remedy(
                    item["remedy"], shown[here], item["strength"], item["strength"], seed=0
                )
                for k in here:
                    done[k] = item["words"]
        return shown, done

    def predict_pixels(self, pixels: Pixels, slice_masks: SliceMasks) -> EnginePredictions:
        """See `Engine`."""
        shown, done = self._apply_corrections(pixels, slice_masks)
        scores = compute_logits(self.network, shown, self.meta).astype(np.float64) / float(
            self.meta.get("temperature") or 1.0
        )
        chance, threshold = softmax(scores, axis=1), self.meta["policy"]["decline"]["threshold"]
        return EnginePredictions(
            chance, chance.max(1) >= (np.inf if threshold is None else threshold), done
        )


class GraphEngine:
    """An ONNX file of `nightshift export` under onnxruntime: it corrects and decides inside."""

    def __init__(self, path: Path) -> None:
        """path: an ONNX file; raises `InputError` where it is none, or not of `nightshift export`."""
        self.session = open_session(path)
        about = self.session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if about is None:
            raise InputError(
                f"{path}: not written by nightshift export; nightshift analyze --model asks such models"
            )
        self.meta: Mapping[str, Any] = json.loads(about)
        told = self.meta["graph"]["corrections"]
        self.correction_words = [item["words"] for item in told if item["carried"]]
        self.omitted_corrections: Sequence[str] = [
            f"{item['words']} where {item['when']}" for item in told if not item["carried"]
        ]

    def predict_pixels(self, pixels: Pixels, slice_masks: SliceMasks) -> EnginePredictions:
        """See `Engine`; the graph measures for itself, so `members` are not asked."""
        _, chance, sure, done = self.session.run(None, {INPUT_NAME: pixels})
        return EnginePredictions(
            chance.astype(np.float64),
            sure,
            [self.correction_words[k] if k >= 0 else "" for k in done],
        )


def open_engine(path: Path) -> InferenceEngine:
    """For a bundle's folder (safetensors), or an ONNX file of `nightshift export`. Raises `InputError` for others."""
    return NetworkEngine(path) if path.is_dir() else GraphEngine(path)
