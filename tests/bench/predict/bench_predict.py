"""`make bench`: what `nightshift predict` costs beyond decoding and the bare model.

Also measured: its memory, and the decisions of the demo's model. The images are drawn at the gate
(240 x 240 px JPEG), the model is the packaged network at 64 px as ONNX. onnxruntime and OpenCV use
one thread each. All works alternate in one run. Medians over rounds are printed, of the wall clock
and of CPU time, which is more reliable on a busy machine.

The overhead is the time of predict, less decoding the same images at the sizes that the rules need,
less the bare session on the decoded pixels, as a share of the bare session. The manual loop decodes
the small copies in equally many threads, runs the session, and does nothing else. Decoding beside a
session slows both, in the manual loop as in predict.

NIGHTSHIFT_BENCH_IMAGES: the largest number of images. NIGHTSHIFT_BENCH_ROUNDS: rounds.
NIGHTSHIFT_DEMO_RUNS: the runs folder of a finished demo.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from pipeline.attributes import DecodedImage, load_measures
from pipeline.data.reading.image_decoding import letterbox_image
from pipeline.data.reading.image_record import ImageRecord
from pipeline.data.reading.image_sources import decode_source, fetch_bytes, read_source_header
from pipeline.demo import gate_dataset
from pipeline.domain.rules import Condition, Rule
from pipeline.learning.models.backbone import build_network
from pipeline.learning.models.decision_module import DecisionModule
from pipeline.learning.models.program_export import write_onnx_file
from pipeline.learning.training_settings import PACKAGED_BACKBONE
from pipeline.serving.prediction import input_images
from pipeline.serving.prediction.inference_engine import GraphEngine
from pipeline.serving.prediction.predictor import BATCH_SIZE, Predictor, load_predictor
from pipeline.serving.prediction.row_writers import write_rows
from pipeline.serving.prediction.rule_attributes import MAX_MEASURED_SIDE
from pipeline.statistics.group_intervals import estimate_cluster_mean
from pipeline.storage.artifact_store import RunFolder, read_json

ROOT = Path(__file__).resolve().parents[3]
MAX_IMAGES = int(os.environ.get("NIGHTSHIFT_BENCH_IMAGES", "100000"))
ROUNDS = int(os.environ.get("NIGHTSHIFT_BENCH_ROUNDS", "11"))
LATENCY_ROUNDS = 200
DEMO_RUNS = Path(os.environ.get("NIGHTSHIFT_DEMO_RUNS", ROOT / "runs"))
SIDE = 64
DECLINE_THRESHOLD = 0.85
LIGHT = Condition("luminance", "<=", 45.0)
TILT = Condition("tilt", "<=", -5.0)
BLOCKS = Condition("blockiness", ">=", 1.5)
RULES: dict[str, list[Rule]] = {
    "no rule": [],
    "a rule on light": [Rule((LIGHT,))],
    "a rule on light and tilt": [Rule((LIGHT, TILT))],
    "rules on light, tilt and blocks": [Rule((LIGHT,)), Rule((TILT,)), Rule((BLOCKS,))],
}
MEMORY_SCRIPT = """
import json, sys, time
from pathlib import Path
from pipeline.serving.prediction.input_images import list_images
from pipeline.serving.prediction.predictor import load_predictor

def read_anonymous_memory():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) // 1024

predictor = load_predictor(sys.argv[1])
few, count = list(list_images([sys.argv[2]])), int(sys.argv[3])
images = (few[number % len(few)] for number in range(count))
list(predictor.stream_rows(few))
before, peak, began = read_anonymous_memory(), 0, time.perf_counter()
for number, row in enumerate(predictor.stream_rows(images)):
    if number % 500 == 0:
        peak = max(peak, read_anonymous_memory())
seconds = time.perf_counter() - began
print(json.dumps({"images": number + 1, "seconds": seconds, "before": before, "peak": peak}))
"""
Works = dict[str, Callable[[], object]]
"""What is measured, by name."""


def _write_model(
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


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[ImageRecord]:
    folder = tmp_path_factory.mktemp("bench") / "gate"
    gate_dataset.generate_dataset(folder, photo_count=640)
    listed = input_images.list_images([str(folder)])
    return [image for image in listed if isinstance(image, ImageRecord)]


def _create_session(path: Path) -> Any:
    """Return a session of one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _create_predictor(path: Path) -> tuple[Predictor, Any]:
    """Return a predictor, and a separate session on the same file; one thread each."""
    engine = GraphEngine(path)
    engine.session = _create_session(path)
    return Predictor(engine), _create_session(path)


def _decode_images(
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


def _run_bare(session: Any, pixels: np.ndarray, batch_size: int) -> None:
    for start in range(0, len(pixels), batch_size):
        session.run(None, {"pixels": pixels[start : start + batch_size]})


def _run_manual_loop(session: Any, images: list[ImageRecord]) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        batches = []
        for start in range(0, len(images), BATCH_SIZE):
            batches.append(pool.submit(_decode_images, images[start : start + BATCH_SIZE]))
        for batch in batches:
            session.run(None, {"pixels": batch.result()})


def _measure_rounds(works: Works, rounds: int) -> dict[str, np.ndarray]:
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
def _use_cores(cores: set[int]) -> Iterator[None]:
    """Run this process on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _print_overhead(rounds: dict[str, np.ndarray], image_count: int) -> None:
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


@pytest.mark.filterwarnings("default")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("setting", RULES)
def test_overhead_beyond_decoding(setting: str, images: list[ImageRecord], tmp_path: Path) -> None:
    rules = RULES[setting]
    predictor, session = _create_predictor(_write_model(tmp_path / "m.onnx", rules))
    columns = sorted({condition.column for rule in rules for condition in rule.conditions})
    is_stored_size = not set(columns) <= {"luminance"}
    pixels = _decode_images(images)
    works: Works = {
        "decode": lambda: _decode_images(images, is_stored_size=is_stored_size),
        "decode and measure": lambda: _decode_images(
            images, is_stored_size=is_stored_size, attributes=columns
        ),
        "bare": lambda: _run_bare(session, pixels, BATCH_SIZE),
        "manual loop": lambda: _run_manual_loop(session, images),
        "predict": lambda: list(predictor.stream_rows(images)),
        "predict to Parquet": lambda: write_rows(
            predictor.stream_rows(images), predictor.columns, tmp_path / "rows.parquet"
        ),
    }
    print(f"\n{setting}: {len(images)} images")
    for name, cores in (("one core", {0}), ("all cores", os.sched_getaffinity(0))):
        with _use_cores(cores):
            rounds = _measure_rounds(works, ROUNDS)
        print(f"  {name} ({len(cores)}), load {os.getloadavg()[0]:.1f}:")
        _print_overhead(rounds, len(images))
        assert rounds["predict"].shape == (ROUNDS, 2)


def test_latency_at_batch_one(images: list[ImageRecord], tmp_path: Path) -> None:
    model = _write_model(tmp_path / "m.onnx", RULES["a rule on light"])
    predictor, session = _create_predictor(model)
    first, paths = images[:1], [images[0].source]
    pixels = _decode_images(first)
    works: Works = {
        "bare onnxruntime": lambda: _run_bare(session, pixels, 1),
        "decoding and bare onnxruntime": lambda: _run_bare(session, _decode_images(first), 1),
        "stream": lambda: list(predictor.stream_rows(first)),
        "predict, as a table": lambda: predictor.predict(paths),
    }
    rounds = _measure_rounds(works, LATENCY_ROUNDS)
    assert len(list(predictor.stream_rows(first))) == len(predictor.predict(paths)) == 1
    print(f"\nbatch one: load {os.getloadavg()[0]:.1f}")
    for name, pairs in rounds.items():
        wall, cpu = 1000 * np.median(pairs, axis=0)
        print(f"  {name}: {wall:.1f} ms wall, {cpu:.1f} ms CPU")


@pytest.mark.timeout(3600)
def test_memory_is_flat(images: list[ImageRecord], tmp_path: Path) -> None:
    """A small network at 32 px and 640 images of 64 px, repeated, so that it ends in minutes."""
    rules = RULES["a rule on light"]
    model = _write_model(tmp_path / "m.onnx", rules, "test_efficientnet", 32)
    folder = tmp_path / "small"
    folder.mkdir()
    for number, image in enumerate(images):
        decoded = decode_source(image.source, fetch_bytes(image.source), 64)
        Image.fromarray(letterbox_image(decoded, 64)).save(folder / f"{number:04d}.jpg")
    for count in (count for count in (1_000, 10_000, 100_000) if count <= MAX_IMAGES):
        command = [sys.executable, "-c", MEMORY_SCRIPT, str(model), str(folder), str(count)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, check=True, capture_output=True, env=environment)
        figures = json.loads(done.stdout.splitlines()[-1])
        rate = figures["images"] / figures["seconds"]
        print(
            f"\n{figures['images']:,} images: {rate:,.0f} images/s; own memory "
            f"{figures['before']} MB before, {figures['peak']} MB at most while predicting (load "
            f"{os.getloadavg()[0]:.1f})"
        )
        assert figures["images"] == count


def _save_baseline(run: RunFolder, folder: Path) -> Path:
    """Save the baseline as a bundle, with the decline rule chosen for it and no correction."""
    shutil.copytree(run.get_artifact_path("model"), folder)
    comparison = read_json(run.get_artifact_path("comparison"))
    record = {
        **read_json(folder / "model.json"),
        "bundle_format": 2,
        "run_id": run.run_id,
        "policy": {"decline": comparison["decline"]["before"], "corrections": []},
        "slices": [],
    }
    (folder / "bundle.json").write_text(json.dumps(record))
    return folder


@pytest.mark.timeout(1800)
def test_the_demo_at_its_decline_rule(tmp_path: Path) -> None:
    """The images are drawn with another seed, so that no run has read them; the truth is known."""
    champion_file = DEMO_RUNS / "champions" / "demo.json"
    if not champion_file.is_file():
        pytest.skip(f"{DEMO_RUNS}: no finished demo; make demo first, or set NIGHTSHIFT_DEMO_RUNS")
    data = tmp_path / "gate"
    gate_dataset.generate_dataset(data, photo_count=2400, seed=1)
    truth = json.loads((data / gate_dataset.TRUTH_NAME).read_text())
    run = RunFolder.open_existing(DEMO_RUNS / str(read_json(champion_file)["run_id"]))
    print(f"\n{run.run_id} on fresh images of the val and test kind, seed 1")
    names = [
        name for name, image in truth.items() if image["split"] != "train" and not image["copy_of"]
    ]
    bundles = {
        "before": _save_baseline(run, tmp_path / "before"),
        "after": run.get_artifact_path("bundle"),
    }
    for time_of_day, is_night in (("night", True), ("day", False)):
        chosen = [name for name in names if truth[name]["night"] is is_night]
        groups = np.array([truth[name]["group"] for name in chosen])
        labels = np.array([truth[name]["label"] for name in chosen])
        for arm, bundle in bundles.items():
            rows = load_predictor(str(bundle)).predict([data / name for name in chosen])
            is_answered = (rows["decision"] == "answer").to_numpy()
            is_wrong = (rows["predicted"] != labels).to_numpy()
            error = estimate_cluster_mean(is_wrong[is_answered], groups[is_answered])
            print(
                f"  {time_of_day}, {arm}: {is_answered.mean():.1%} of {len(chosen)} answered, "
                f"{error.value:.1%} of them wrong ({error.low:.1%} to {error.high:.1%} by visit); "
                f"all answered: {is_wrong.mean():.1%} wrong"
            )
            assert len(rows) == len(chosen)
