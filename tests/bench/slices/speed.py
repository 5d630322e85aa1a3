"""Time and peak memory of the finder's proposals and of Domino at 50,000 x 512 with 10 classes."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.slicing.confirm import Probe
from pipeline.slicing.crossing import Knobs, Material, proposed
from pipeline.slicing.validation import Val
from tests.bench.slices.peers import Absent, Part, domino

PHOTOS, WIDTH, CLASSES, ATTRIBUTES = 50_000, 512, 10, 9


def _arrays() -> Part:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, PHOTOS)
    features = rng.standard_normal((PHOTOS, WIDTH)) + rng.standard_normal((CLASSES, WIDTH))[labels]
    scores = rng.standard_normal((PHOTOS, CLASSES)) + 3 * np.eye(CLASSES)[labels]
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    return Part(features, rng.standard_normal((PHOTOS, ATTRIBUTES)), shares, labels)


def _ours() -> None:
    part = _arrays()
    table = {"image_id": [f"i{k}" for k in range(PHOTOS)], "label": part.labels.astype(str)}
    frame = pd.DataFrame(table | {"group": [f"g{k}" for k in range(PHOTOS)]})
    frame = pd.concat([frame, pd.DataFrame(part.attributes, columns=[f"a{k}" for k in range(ATTRIBUTES)])], axis=1)
    none = Probe(np.zeros(0, bool), np.zeros((0, 0), bool), np.zeros(0), np.zeros(0, np.intp), np.zeros(0))
    rows, guess = np.arange(PHOTOS), part.probabilities.argmax(1)
    val = Val(frame, rows, rows % 2, part.labels, guess, none, rows[:0], np.zeros(0, bool), tuple("0123456789"))
    features, unprobed = part.features.astype(np.float32), np.zeros((0, 0), np.float32)
    proposed(Material.of(val, features, unprobed, part.probabilities), rows >= 0, Knobs(), 0)


def _theirs() -> None:
    part = _arrays()
    domino(10, False)(part, Part(*(v[:100] for v in vars(part).values())), 0)


def _measured(work: Callable[[], None], queue: Any) -> None:
    _arrays()
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    try:
        work()
        seconds = round(time.monotonic() - began, 1)
    except Absent:
        seconds = None
    queue.put((seconds, round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024), round(before / 1024)))


def known(cache: Path) -> dict[str, Any]:
    """What `run` measured before on this machine, else now."""
    file = cache / "speed.json"
    if not file.exists():
        file.write_text(json.dumps(run()))
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def run() -> dict[str, tuple[float | None, int, int]]:
    """(seconds, peak MB, MB of the arrays alone), each in a process of its own, drawing the arrays included."""
    found, context = {}, get_context("spawn")
    for name, work in (("Nightshift", _ours), ("Domino, weight 10", _theirs)):
        queue = context.Queue()
        process = context.Process(target=_measured, args=(work, queue))
        process.start()
        found[name] = queue.get()
        process.join()
    return found
