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
from pipeline.learning.backbone import load_model
from pipeline.learning.exported import opened
from pipeline.learning.predict import logits
from pipeline.learning.program import ABOUT, INPUT
from pipeline.remedies import treat
from pipeline.store import read_json

Pixels = NDArray[np.uint8]
Masks = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Answers:
    """chance: calibrated probabilities float64 [N, classes]; sure: bool [N], whether to answer; done: what was done to
    each photo before the model looked, in words."""

    chance: NDArray[np.float64]
    sure: NDArray[np.bool_]
    done: list[str]


class Engine(Protocol):
    """meta: the bundle. left_out: in words, the corrections of the bundle that are not made."""

    meta: Mapping[str, Any]
    left_out: Sequence[str]

    def answer(self, pixels: Pixels, members: Masks) -> Answers:
        """pixels: uint8 [N, S, S, 3]; members: bool [N] for each slice, by its image rule."""
        ...


class Network:
    """A bundle's folder: the network under torch."""

    left_out: Sequence[str] = ()

    def __init__(self, folder: Path) -> None:
        """folder: holds `model.safetensors`, its description and `bundle.json`; raises `InputError`."""
        self.network, _ = load_model(folder)
        self.meta: Mapping[str, Any] = read_json(folder / "bundle.json")

    def _corrected(self, pixels: Pixels, members: Masks) -> tuple[Pixels, list[str]]:
        """The pixels that the model is shown, and in words what was done to each photo; one correction a photo."""
        shown, done = pixels.copy(), [""] * len(pixels)
        for item in self.meta["policy"]["corrections"]:
            here = [k for k in np.flatnonzero(members[item["slice"]]) if not done[k]]
            if here:
                shown[here] = treat(item["remedy"], shown[here], item["dose"], item["dose"], seed=0)
                for k in here:
                    done[k] = item["words"]
        return shown, done

    def answer(self, pixels: Pixels, members: Masks) -> Answers:
        """See `Engine`."""
        shown, done = self._corrected(pixels, members)
        scores = logits(self.network, shown, self.meta).astype(np.float64) / float(self.meta.get("temperature") or 1.0)
        chance, threshold = softmax(scores, axis=1), self.meta["policy"]["decline"]["threshold"]
        return Answers(chance, chance.max(1) >= (np.inf if threshold is None else threshold), done)


class Graph:
    """An ONNX file of `nightshift export` under onnxruntime: it corrects and decides inside."""

    def __init__(self, path: Path) -> None:
        """path: an ONNX file; raises `InputError` where it is none, or not of `nightshift export`."""
        self.session = opened(path)
        about = self.session.get_modelmeta().custom_metadata_map.get(ABOUT)
        if about is None:
            raise InputError(f"{path}: not written by nightshift export; nightshift analyze --model asks such models")
        self.meta: Mapping[str, Any] = json.loads(about)
        told = self.meta["graph"]["corrections"]
        self.words = [item["words"] for item in told if item["carried"]]
        self.left_out: Sequence[str] = [f"{item['words']} where {item['when']}" for item in told if not item["carried"]]

    def answer(self, pixels: Pixels, members: Masks) -> Answers:
        """See `Engine`; the graph measures for itself, so `members` are not asked."""
        _, chance, sure, done = self.session.run(None, {INPUT: pixels})
        return Answers(chance.astype(np.float64), sure, [self.words[k] if k >= 0 else "" for k in done])


def engine_of(path: Path) -> Engine:
    """For a bundle's folder (safetensors), or an ONNX file of `nightshift export`. Raises `InputError` for others."""
    return Network(path) if path.is_dir() else Graph(path)
