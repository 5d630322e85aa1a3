"""`python -m tests.bench.slices.speed`: CPU time and peak memory of the finder's proposals and of Domino's, in turn.

50,000 x 512 with 10 classes, one thread, each time in a process of its own; drawing the arrays is not timed. Writes its
section of RESULTS.md.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

import numpy as np
import pandas as pd

from pipeline.slices.candidates.rule_application import FinderSettings, apply_proposed_rules
from tests.bench.sections import write_section
from tests.bench.slices.figures import table
from tests.bench.slices.peers import Absent, Part, domino
from tests.bench.slices.results import RESULTS, bar
from tests.helpers.validation_sets import make_validation_set

PHOTOS, WIDTH, CLASSES, ATTRIBUTES, ROUNDS = 50_000, 512, 10, 9, 3


def _arrays() -> Part:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, PHOTOS)
    features = rng.standard_normal((PHOTOS, WIDTH)) + rng.standard_normal((CLASSES, WIDTH))[labels]
    scores = rng.standard_normal((PHOTOS, CLASSES)) + 3 * np.eye(CLASSES)[labels]
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    return Part(features, rng.standard_normal((PHOTOS, ATTRIBUTES)), shares, labels)


def _ours(part: Part) -> None:
    table = {"image_id": [f"i{k}" for k in range(PHOTOS)], "label": part.labels.astype(str)}
    frame = pd.DataFrame(table | {"group": [f"g{k}" for k in range(PHOTOS)]})
    frame = pd.concat(
        [frame, pd.DataFrame(part.attributes, columns=[f"a{k}" for k in range(ATTRIBUTES)])], axis=1
    )
    rows = np.arange(PHOTOS)
    val = make_validation_set(
        frame,
        part.labels,
        part.probabilities.argmax(1),
        "0123456789",
        probed_rows=rows[:0],
        logits=np.log(part.probabilities),
        embeddings=part.features.astype(np.float32),
    )
    apply_proposed_rules(val, rows >= 0, FinderSettings(), 0)


def _theirs(weight: int) -> Callable[[Part], None]:
    def work(part: Part) -> None:
        domino(weight, False)(part, Part(*(v[:100] for v in vars(part).values())), 0)

    return work


METHODS = {"Nightshift": _ours, "Domino, weight 1": _theirs(1), "Domino, weight 10": _theirs(10)}


def _measured(name: str, queue: Any) -> None:
    """Puts (CPU seconds, peak MB, MB before), or why the method is absent."""
    part = _arrays()
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        METHODS[name](part)
    except Absent as reason:
        queue.put(str(reason))
        return
    took, most = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    queue.put((took, most / 1024, before / 1024))


def run(rounds: int = ROUNDS) -> dict[str, list[tuple[float, float, float]]]:
    """By method, each round's (CPU seconds, peak MB, MB before it began).

    None of what is absent, which is printed.
    """
    context, found = get_context("spawn"), dict[str, list[tuple[float, float, float]]]()
    for _ in range(rounds):
        for name in METHODS:
            queue = context.Queue()
            process = context.Process(target=_measured, args=(name, queue))
            process.start()
            said = queue.get()
            process.join()
            print(f"{name}: {said}", flush=True)
            if not isinstance(said, str):
                found.setdefault(name, []).append(said)
    return found


def write(found: dict[str, list[tuple[float, float, float]]]) -> None:
    """The section of RESULTS.md."""
    mine, lines, bars = statistics.median(r[0] for r in found["Nightshift"]), [], []
    for name, rows in found.items():
        took, most, before = (statistics.median(column) for column in zip(*rows, strict=True))
        lines.append({"method": name, "CPU seconds": f"{took:.1f}", "peak MB": f"{most:.0f}"})
        lines[-1] |= {"of these before it began": f"{before:.0f}", "rounds": len(rows)}
        if name != "Nightshift":
            figure, times = f"50,000 x 512, times faster than {name}", took / mine
            bars.append(bar((figure, "fast", 5, times, f"{times:.1f}", ">=")))
    head = f"{time.strftime('%Y-%m-%d')}, `python -m tests.bench.slices.speed`, load {os.getloadavg()[0]:.1f}:"
    head += (
        f" {CLASSES} classes, one thread, medians of rounds in turn, drawing the arrays not timed."
    )
    write_section(
        RESULTS,
        "Time to find slices",
        "\n\n".join([head, *([table(bars)] if bars else []), table(lines)]),
    )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that it starts
    write(run(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))
