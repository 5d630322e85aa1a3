"""What the prediction benchmark measures, and how it is measured and printed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from pipeline.attributes import DecodedImage, load_measures
from pipeline.data.reading.image_decoding import letterbox_image
from pipeline.data.reading.image_record import ImageRecord
from pipeline.data.reading.image_sources import decode_source, fetch_bytes, read_source_header
from pipeline.domain.rules import Rule
from pipeline.learning.models.backbone import build_network
from pipeline.learning.models.decision_module import DecisionModule
from pipeline.learning.models.program_export import write_onnx_file
from pipeline.learning.training_settings import PACKAGED_BACKBONE
from pipeline.serving.prediction.inference_engine import GraphEngine
from pipeline.serving.prediction.predictor import BATCH_SIZE, Predictor
from pipeline.serving.prediction.rule_attributes import MAX_MEASURED_SIDE

SIDE = 64
DECLINE_THRESHOLD = 0.85
Works = dict[str, Callable[[], object]]
"""What is measured, by name."""


def write_model(
    path: Path, rules: list[Rule], backbone: str = PACKAGED_BACKBONE, side: int = SIDE
) -> Path:
    """Write the packaged network as `nightshift export` does, with slices of these rules."""
    weights = "packaged" if backbone == PACKAGED_BACKBONE else "none"
    network, meta = build_network(backbone, weights, ["badge", "no_badge"], side, 0.0)
    slices = []
    for number, rule in enumerate(rules):
        slices.append({"slice": f"s{number}", "words": "", "rule": rule.dump_json()})
    record = {
        **meta,
        "bundle_format": 2,
        "run_id": "bench",
        "policy": {"decline": {"threshold": DECLINE_THRESHOLD}, "corrections": []},
        "slices": slices,
        "graph": {"corrections": []},
    }
    write_onnx_file(DecisionModule(network, meta, [], DECLINE_THRESHOLD), side, path, record)
    return path


def create_session(path: Path) -> Any:
    """Return a session of one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def create_predictor(path: Path) -> tuple[Predictor, Any]:
    """Return a predictor, and a separate session on the same file; one thread each."""
    engine = GraphEngine(path)
    engine.session = create_session(path)
    return Predictor(engine), create_session(path)


def decode_images(
    images: list[ImageRecord], *, is_stored_size: bool = False, attributes: Sequence[str] = ()
) -> np.ndarray:
    """Return the model's pixels, uint8 [images, side, side, 3].

    Args:
        images: the images.
        is_stored_size: whether each image is decoded at its stored size too.
        attributes: attributes that are measured on the larger of the decoded images.
    """
    measures = [load_measures()[name] for name in attributes]
    model_pixels = []
    for image in images:
        data = fetch_bytes(image.source)
        header = read_source_header(image.source, data)
        pixels = measured_pixels = decode_source(image.source, data, SIDE, header)
        if is_stored_size:
            measured_pixels = decode_source(image.source, data, MAX_MEASURED_SIDE, header)
        decoded = DecodedImage(measured_pixels, None, header.width, header.height)
        for measure in measures:
            measure(decoded)
        model_pixels.append(letterbox_image(pixels, SIDE))
    return np.stack(model_pixels)


def run_bare(session: Any, pixels: np.ndarray, batch_size: int) -> None:
    for start in range(0, len(pixels), batch_size):
        session.run(None, {"pixels": pixels[start : start + batch_size]})


def run_manual_loop(session: Any, images: list[ImageRecord]) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        batches = []
        for start in range(0, len(images), BATCH_SIZE):
            batches.append(pool.submit(decode_images, images[start : start + BATCH_SIZE]))
        for batch in batches:
            session.run(None, {"pixels": batch.result()})


def measure_rounds(works: Works, rounds: int) -> dict[str, np.ndarray]:
    """Return wall and CPU seconds of each work, float [rounds, 2].

    The works alternate; a first round is not counted.
    """
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            began, cpu_began = time.perf_counter(), time.process_time()
            work()
            pair = (time.perf_counter() - began, time.process_time() - cpu_began)
            seconds[name].append(pair)
    return {name: np.array(pairs[1:]) for name, pairs in seconds.items()}


@contextmanager
def use_cores(cores: set[int]) -> Iterator[None]:
    """Run this process on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def print_overhead(rounds: dict[str, np.ndarray], image_count: int) -> None:
    """Print the time of each work for an image, and the overhead round by round."""
    for column, clock in enumerate(("wall", "CPU")):
        seconds = {name: pairs[:, column] for name, pairs in rounds.items()}
        milliseconds = [
            f"{name} {1000 * np.median(values) / image_count:.2f}"
            for name, values in seconds.items()
        ]
        print(f"    {clock}, ms: {', '.join(milliseconds)}")
        bare = seconds["bare"]
        for name in ("manual loop", "predict", "predict to Parquet"):
            overhead = (seconds[name] - seconds["decode"] - bare) / bare
            measured_overhead = (seconds[name] - seconds["decode and measure"] - bare) / bare
            low, high = np.quantile(overhead, [0.25, 0.75])
            print(
                f"      {name}: {np.median(overhead):+.1%} of bare beyond decoding (half of the "
                f"rounds {low:+.1%} to {high:+.1%}), {np.median(measured_overhead):+.1%} beyond "
                "decoding and measuring"
            )
        difference = (seconds["predict"] - seconds["manual loop"]) / bare
        print(f"      predict less the manual loop: {np.median(difference):+.1%} of bare")
