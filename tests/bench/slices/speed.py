"""CPU time and peak memory of the finder's proposals and of Domino's, in turn.

    python -m tests.bench.slices.speed [--images N] [--rounds N]

By default 50,000 images with 512 features and 10 classes. Each measurement is a separate process
with one thread; the time to draw the arrays is not counted.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.slices.family.slice_search import FinderSettings, find_slices
from tests.bench.results_file import format_table, write_section
from tests.bench.slices.command_options import format_command
from tests.bench.slices.peer_finders import PeerAbsentError, PeerPart, build_domino
from tests.bench.slices.result_sections import PRODUCT, RESULTS_FILE, Target, format_targets
from tests.helpers.validation_sets import make_validation_set

IMAGES, FEATURES, CLASSES, ATTRIBUTES, ROUNDS = 50_000, 512, 10, 9, 3
MIN_SPEED_RATIO = 5
SCORED_IMAGES = 100  # images that Domino scores after its fit
Measurement = tuple[float, float, float]
"""CPU seconds, peak MB, MB before the method began."""


def draw_arrays(image_count: int) -> PeerPart:
    """Return random features, attributes, probabilities and labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, image_count)
    class_centers = rng.standard_normal((CLASSES, FEATURES))
    features = rng.standard_normal((image_count, FEATURES)) + class_centers[labels]
    scores = rng.standard_normal((image_count, CLASSES)) + 3 * np.eye(CLASSES)[labels]
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    attributes = rng.standard_normal((image_count, ATTRIBUTES))
    return PeerPart(features, attributes, probabilities, labels)


def run_product(part: PeerPart) -> None:
    """Propose slices by the product."""
    rows = np.arange(len(part.labels))
    images = pd.DataFrame(
        {
            "image_id": [f"i{row}" for row in rows],
            "label": part.labels.astype(str),
            "group": [f"g{row}" for row in rows],
        }
    )
    columns = [f"a{number}" for number in range(ATTRIBUTES)]
    attributes = pd.DataFrame(part.attributes, columns=columns)
    val = make_validation_set(
        pd.concat([images, attributes], axis=1),
        part.labels,
        part.probabilities.argmax(1),
        "0123456789",
        probed_rows=rows[:0],
        logits=np.log(part.probabilities),
        embeddings=part.features.astype(np.float32),
    )
    find_slices(val, FinderSettings(), 0)


def _build_domino_run(weight: int) -> Callable[[PeerPart], None]:
    def run_domino(part: PeerPart) -> None:
        scored = PeerPart(*(values[:SCORED_IMAGES] for values in vars(part).values()))
        build_domino(weight, uses_attributes=False)(part, scored, 0)

    return run_domino


METHODS = {
    PRODUCT: run_product,
    "Domino, weight 1": _build_domino_run(1),
    "Domino, weight 10": _build_domino_run(10),
}


def _measure_in_process(name: str, image_count: int, queue: Any) -> None:
    """Put the measurement of a method into a queue, or why the method is absent."""
    part = draw_arrays(image_count)
    memory_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    try:
        METHODS[name](part)
    except PeerAbsentError as error:
        queue.put(str(error))
        return
    seconds = time.process_time() - began
    peak_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    queue.put((seconds, peak_memory / 1024, memory_before / 1024))


def measure_methods(image_count: int, rounds: int) -> dict[str, list[Measurement]]:
    """Return the measurements of each round by method; an absent method is printed and left out."""
    context = get_context("spawn")
    measurements: dict[str, list[Measurement]] = {}
    for _ in range(rounds):
        for name in METHODS:
            queue = context.Queue()
            process = context.Process(target=_measure_in_process, args=(name, image_count, queue))
            process.start()
            result = queue.get()
            process.join()
            print(f"{name}: {result}", flush=True)
            if not isinstance(result, str):
                measurements.setdefault(name, []).append(result)
    return measurements


def write_speed_results(
    path: Path, measurements: dict[str, list[Measurement]], image_count: int, command: str
) -> None:
    """Write the section on time and memory.

    Args:
        path: the result file.
        measurements: measurements of each round, by method.
        image_count: number of images.
        command: the command that was run.
    """
    product_seconds = statistics.median(row[0] for row in measurements[PRODUCT])
    rows, targets = [], []
    for name, method_rows in measurements.items():
        columns = zip(*method_rows, strict=True)
        seconds, peak, before = (statistics.median(column) for column in columns)
        rows.append(
            {
                "method": name,
                "CPU seconds": f"{seconds:.1f}",
                "peak MB": f"{peak:.0f}",
                "of these before it began": f"{before:.0f}",
                "rounds": len(method_rows),
            }
        )
        if name != PRODUCT:
            ratio = seconds / product_seconds
            figure = f"{image_count:,} x {FEATURES}, times faster than {name}"
            targets.append(Target(figure, "", MIN_SPEED_RATIO, ratio, f"{ratio:.1f}"))
    head = (
        f"{time.strftime('%Y-%m-%d')}, `{command}`, load {os.getloadavg()[0]:.1f}: {image_count:,} "
        f"images, {CLASSES} classes, one thread, medians of rounds in turn, drawing the arrays not "
        "timed."
    )
    parts = [head, format_targets(targets), format_table(rows)]
    write_section(path, "Time to find slices", "\n\n".join(part for part in parts if part))


def main() -> None:
    """Measure the methods and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--results", type=Path, default=RESULTS_FILE)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that it starts
    measurements = measure_methods(options.images, options.rounds)
    command = format_command("tests.bench.slices.speed")
    write_speed_results(options.results, measurements, options.images, command)


if __name__ == "__main__":
    main()
