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
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.reading.image_decoding import letterbox_image
from pipeline.data.reading.image_record import ImageRecord
from pipeline.data.reading.image_sources import decode_source, fetch_bytes
from pipeline.demo import gate_dataset
from pipeline.domain.rules import Condition, Rule
from pipeline.serving.prediction import input_images
from pipeline.serving.prediction.predictor import BATCH_SIZE, load_predictor
from pipeline.serving.prediction.row_writers import write_rows
from pipeline.statistics.group_intervals import estimate_cluster_mean
from pipeline.storage.artifact_store import RunFolder, read_json
from tests.bench.predict.prediction_works import (
    Works,
    create_predictor,
    decode_images,
    measure_rounds,
    print_overhead,
    run_bare,
    run_manual_loop,
    use_cores,
    write_model,
)

ROOT = Path(__file__).resolve().parents[3]
MAX_IMAGES = int(os.environ.get("NIGHTSHIFT_BENCH_IMAGES", "100000"))
ROUNDS = int(os.environ.get("NIGHTSHIFT_BENCH_ROUNDS", "11"))
LATENCY_ROUNDS = 200
DEMO_RUNS = Path(os.environ.get("NIGHTSHIFT_DEMO_RUNS", ROOT / "runs"))
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


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[ImageRecord]:
    folder = tmp_path_factory.mktemp("bench") / "gate"
    gate_dataset.generate_dataset(folder, photo_count=640)
    listed = input_images.list_images([str(folder)])
    return [image for image in listed if isinstance(image, ImageRecord)]


@pytest.mark.filterwarnings("default")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("setting", RULES)
def test_overhead_beyond_decoding(setting: str, images: list[ImageRecord], tmp_path: Path) -> None:
    rules = RULES[setting]
    predictor, session = create_predictor(write_model(tmp_path / "m.onnx", rules))
    columns = sorted({condition.column for rule in rules for condition in rule.conditions})
    is_stored_size = not set(columns) <= {"luminance"}
    pixels = decode_images(images)
    works: Works = {
        "decode": lambda: decode_images(images, is_stored_size=is_stored_size),
        "decode and measure": lambda: decode_images(
            images, is_stored_size=is_stored_size, attributes=columns
        ),
        "bare": lambda: run_bare(session, pixels, BATCH_SIZE),
        "manual loop": lambda: run_manual_loop(session, images),
        "predict": lambda: list(predictor.stream_rows(images)),
        "predict to Parquet": lambda: write_rows(
            predictor.stream_rows(images), predictor.columns, tmp_path / "rows.parquet"
        ),
    }
    print(f"\n{setting}: {len(images)} images")
    for name, cores in (("one core", {0}), ("all cores", os.sched_getaffinity(0))):
        with use_cores(cores):
            rounds = measure_rounds(works, ROUNDS)
        print(f"  {name} ({len(cores)}), load {os.getloadavg()[0]:.1f}:")
        print_overhead(rounds, len(images))
        assert rounds["predict"].shape == (ROUNDS, 2)


def test_latency_at_batch_one(images: list[ImageRecord], tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.onnx", RULES["a rule on light"])
    predictor, session = create_predictor(model)
    first, paths = images[:1], [images[0].source]
    pixels = decode_images(first)
    works: Works = {
        "bare onnxruntime": lambda: run_bare(session, pixels, 1),
        "decoding and bare onnxruntime": lambda: run_bare(session, decode_images(first), 1),
        "stream": lambda: list(predictor.stream_rows(first)),
        "predict, as a table": lambda: predictor.predict(paths),
    }
    rounds = measure_rounds(works, LATENCY_ROUNDS)
    assert len(list(predictor.stream_rows(first))) == len(predictor.predict(paths)) == 1
    print(f"\nbatch one: load {os.getloadavg()[0]:.1f}")
    for name, pairs in rounds.items():
        wall, cpu = 1000 * np.median(pairs, axis=0)
        print(f"  {name}: {wall:.1f} ms wall, {cpu:.1f} ms CPU")


@pytest.mark.timeout(3600)
def test_memory_is_flat(images: list[ImageRecord], tmp_path: Path) -> None:
    """A small network at 32 px and 640 images of 64 px, repeated, so that it ends in minutes."""
    rules = RULES["a rule on light"]
    model = write_model(tmp_path / "m.onnx", rules, "test_efficientnet", 32)
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
