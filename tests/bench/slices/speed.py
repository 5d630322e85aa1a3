"""CPU time and peak memory of the finder's proposals and of Domino at 50,000 x 512 with 10 classes."""

from __future__ import annotations

import json
import resource
import sys
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

ENOUGH, START = 6, 20  # times our own seconds, and seconds for the start, after which a peer is stopped
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


def _measured(work: Callable[[], None], limit: float, queue: Any) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5))
    _arrays()
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        work()
        seconds = round(time.process_time() - began, 1)
    except Absent:
        seconds = None
    queue.put((seconds, _megabytes(resource.RUSAGE_SELF), round(before / 1024)))


def _megabytes(whose: int) -> int:
    return round(resource.getrusage(whose).ru_maxrss / 1024)


def known(cache: Path) -> dict[str, Any]:
    """What `run` measured before on this machine, else now."""
    file = cache / "speed.json"
    if not file.exists():
        file.write_text(json.dumps(run()))
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def run() -> dict[str, tuple[float | None, int, int | None]]:
    """(CPU seconds, peak MB, MB of the arrays alone), each in a process of its own, drawing the arrays included.

    A peer is stopped after `ENOUGH` times our own time, which is then what is told of it ("more than").
    """
    found: dict[str, tuple[float | None, int, int | None]] = {}
    context, limit = get_context("spawn"), 36_000.0
    for name, work in (("Nightshift", _ours), ("Domino, weight 10", _theirs)):
        queue = context.Queue()
        process = context.Process(target=_measured, args=(work, limit, queue))
        process.start()
        process.join()
        stopped = process.exitcode != 0
        found[f"{name}, stopped" if stopped else name] = (
            (limit - START, _megabytes(resource.RUSAGE_CHILDREN), None) if stopped else queue.get(timeout=10)
        )
        limit = START + ENOUGH * float(found[name][0] or 0) if name in found else limit
    return found


if __name__ == "__main__":
    print(known(Path(sys.argv[1])))
