"""`make bench`: what `nightshift predict` costs beyond decoding and the bare model, its memory, and the demo's answers.

All on the gate's drawn images (240 x 240 px JPEG) with the packaged network at 64 px as ONNX, one thread of onnxruntime
as of OpenCV, alternating in one run, medians over rounds; wall clock, and CPU time, which says more on a busy machine.
Beyond decoding is predict, less decoding the same images at the sizes that the rules need, less the bare session on the
decoded pixels, in parts of the bare session. A loop by hand decodes the small copies in as many threads and asks the
session, and does nothing else: decoding beside a session slows both, which is then in both.
NIGHTSHIFT_BENCH_PHOTOS sets the largest number of images; NIGHTSHIFT_DEMO_RUNS names the runs of a finished demo.
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
MOST = int(os.environ.get("NIGHTSHIFT_BENCH_PHOTOS", "100000"))
RUNS = Path(os.environ.get("NIGHTSHIFT_DEMO_RUNS", ROOT / "runs"))
ROUNDS, SIDE = 11, 64
LIGHT = Condition("luminance", "<=", 45.0)
TILT = Condition("tilt", "<=", -5.0)
BLOCKS = Condition("blockiness", ">=", 1.5)
RULES: dict[str, list[Rule]] = {
    "no rule": [],
    "a rule on light": [Rule((LIGHT,))],
    "a rule on light and tilt": [Rule((LIGHT, TILT))],
    "rules on light, tilt and blocks": [Rule((LIGHT,)), Rule((TILT,)), Rule((BLOCKS,))],
}
CODE = """
import json, sys, time
from pathlib import Path
from pipeline.serving.prediction.input_images import list_images
from pipeline.serving.prediction.predictor import load_predictor
def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) // 1024
predictor = load_predictor(sys.argv[1])
few, count = list(list_images([sys.argv[2]])), int(sys.argv[3])
images = (few[k % len(few)] for k in range(count))
list(predictor.stream_rows(few))
before, peak, began = anonymous(), 0, time.perf_counter()
for number, row in enumerate(predictor.stream_rows(images)):
    if number % 500 == 0:
        peak = max(peak, anonymous())
print(json.dumps({"images": number + 1, "seconds": time.perf_counter() - began, "before": before, "peak": peak}))
"""


def _written(
    path: Path, rules: list[Rule], backbone: str = PACKAGED_BACKBONE, side: int = SIDE
) -> Path:
    """The packaged network as `nightshift export` writes it, with slices of these rules and no correction."""
    weights = "packaged" if backbone == PACKAGED_BACKBONE else "none"
    network, meta = build_network(backbone, weights, ["badge", "no_badge"], side, 0.0)
    slices = [
        {"slice": f"s{k}", "words": "", "rule": rule.dump_json()} for k, rule in enumerate(rules)
    ]
    policy = {"decline": {"threshold": 0.85}, "corrections": []}
    about = {
        **meta,
        "bundle_format": 2,
        "run_id": "bench",
        "policy": policy,
        "slices": slices,
        "graph": {"corrections": []},
    }
    write_onnx_file(DecisionModule(network, meta, [], 0.85), side, path, about)
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[ImageRecord]:
    folder = tmp_path_factory.mktemp("bench") / "gate"
    gate_dataset.generate_dataset(folder, photo_count=640)
    return [p for p in input_images.list_images([str(folder)]) if isinstance(p, ImageRecord)]


def _single() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return options


def _predictor(path: Path) -> tuple[Predictor, Any]:
    """predict, and a session of its own on the same file; one thread each."""
    engine = GraphEngine(path)
    engine.session = onnxruntime.InferenceSession(
        path, _single(), providers=["CPUExecutionProvider"]
    )
    return Predictor(engine), onnxruntime.InferenceSession(
        path, _single(), providers=["CPUExecutionProvider"]
    )


def _decoded(
    images: list[ImageRecord], stored: bool = False, measured: Sequence[str] = ()
) -> np.ndarray:
    """The model's pixels. stored: each image is decoded at its stored size too; measured: by these attributes, on that
    or else on the decode for the model."""
    small, chosen = [], [load_measures()[name] for name in measured]
    for image in images:
        data = fetch_bytes(image.source)
        head = read_source_header(image.source, data)
        pixels = decode_source(image.source, data, SIDE, head)
        shot = DecodedImage(
            decode_source(image.source, data, MAX_MEASURED_SIDE, head) if stored else pixels,
            None,
            head.width,
            head.height,
        )
        for function in chosen:
            function(shot)
        small.append(letterbox_image(pixels, SIDE))
    return np.stack(small)


def _bare(session: Any, pixels: np.ndarray, batch: int) -> None:
    for start in range(0, len(pixels), batch):
        session.run(None, {"pixels": pixels[start : start + batch]})


def _by_hand(session: Any, images: list[ImageRecord]) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        batches = [
            pool.submit(_decoded, images[at : at + BATCH_SIZE])
            for at in range(0, len(images), BATCH_SIZE)
        ]
        for batch in batches:
            session.run(None, {"pixels": batch.result()})


def _rounds(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """Wall and CPU seconds of each, float [rounds, 2], alternating; a round before warms up."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            spent[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: np.array(pairs[1:]) for name, pairs in spent.items()}


def _timed(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Wall and CPU seconds of each, medians over alternating rounds."""
    return {name: tuple(np.median(pairs, axis=0)) for name, pairs in _rounds(works, rounds).items()}


@contextmanager
def _cores(cores: set[int]) -> Iterator[None]:
    """This process on these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _told(spent: dict[str, np.ndarray], images: int) -> None:
    """The overhead of each way to answer, round by round, and what each work took of a image."""
    bare, decode, measured = (spent[name] for name in ("bare", "decode", "decode and measure"))
    for k, clock in enumerate(("wall", "CPU")):
        took = ", ".join(
            f"{name} {1000 * np.median(pairs[:, k]) / images:.2f}" for name, pairs in spent.items()
        )
        print(f"    {clock}, ms: {took}")
        for name in ("by hand", "predict", "predict to Parquet"):
            over, rest = (
                (spent[name] - less - bare)[:, k] / bare[:, k] for less in (decode, measured)
            )
            low, high = np.quantile(over, [0.25, 0.75])
            print(
                f"      {name}: {np.median(over):+.1%} of bare beyond decoding (half of the rounds "
                f"{low:+.1%} to "
                f"{high:+.1%}), {np.median(rest):+.1%} beyond decoding and measuring"
            )
        beside = (spent["predict"] - spent["by hand"])[:, k] / bare[:, k]
        print(f"      predict less the loop by hand: {np.median(beside):+.1%} of bare")


@pytest.mark.filterwarnings("default")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("setting", RULES)
def test_overhead_beyond_decoding(setting: str, images: list[ImageRecord], tmp_path: Path) -> None:
    predictor, session = _predictor(_written(tmp_path / "m.onnx", RULES[setting]))
    columns = sorted({c.column for rule in RULES[setting] for c in rule.conditions})
    pixels, whole = _decoded(images), not set(columns) <= {"luminance"}
    works: dict[str, Callable[[], object]] = {
        "decode": lambda: _decoded(images, whole),
        "decode and measure": lambda: _decoded(images, whole, columns),
        "bare": lambda: _bare(session, pixels, BATCH_SIZE),
        "by hand": lambda: _by_hand(session, images),
        "predict": lambda: list(predictor.stream_rows(images)),
        "predict to Parquet": lambda: write_rows(
            predictor.stream_rows(images), predictor.columns, tmp_path / "rows.parquet"
        ),
    }
    print(f"\n{setting}: {len(images)} images")
    for words, cores in (("one core", {0}), ("all cores", os.sched_getaffinity(0))):
        with _cores(cores):
            spent = _rounds(works, ROUNDS)
        print(f"  {words} ({len(cores)}), load {os.getloadavg()[0]:.1f}:")
        _told(spent, len(images))
        assert spent["predict"].shape == (ROUNDS, 2)


def test_latency_at_batch_one(images: list[ImageRecord], tmp_path: Path) -> None:
    predictor, session = _predictor(_written(tmp_path / "m.onnx", RULES["a rule on light"]))
    first, paths = images[:1], [images[0].source]
    pixels = _decoded(first)
    works: dict[str, Callable[[], object]] = {
        "bare onnxruntime": lambda: _bare(session, pixels, 1),
        "decoding and bare onnxruntime": lambda: _bare(session, _decoded(first), 1),
        "stream": lambda: list(predictor.stream_rows(first)),
        "predict, as a table": lambda: predictor.predict(paths),
    }
    spent = _timed(works, 200)
    assert len(list(predictor.stream_rows(first))) == len(predictor.predict(paths)) == 1
    print(f"\nbatch one: load {os.getloadavg()[0]:.1f}")
    for name, (wall, cpu) in spent.items():
        print(f"  {name}: {1000 * wall:.1f} ms wall, {1000 * cpu:.1f} ms CPU")


@pytest.mark.timeout(3600)
def test_memory_is_flat(images: list[ImageRecord], tmp_path: Path) -> None:
    """With a small network at 32 px and 640 images of 64 px over and over, so that it ends in minutes."""
    model = _written(tmp_path / "m.onnx", RULES["a rule on light"], "test_efficientnet", 32)
    folder = tmp_path / "small"
    folder.mkdir()
    for number, image in enumerate(images):
        small = letterbox_image(decode_source(image.source, fetch_bytes(image.source), 64), 64)
        Image.fromarray(small).save(folder / f"{number:04d}.jpg")
    for count in (n for n in (1_000, 10_000, 100_000) if n <= MOST):
        line = [sys.executable, "-c", CODE, str(model), str(folder), str(count)]
        done = subprocess.run(
            line, check=True, capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        got = json.loads(done.stdout.splitlines()[-1])
        print(
            f"\n{got['images']:,} images: {got['images'] / got['seconds']:,.0f} images/s; own "
            "memory "
            f"{got['before']} MB before, {got['peak']} MB at most while answering (load "
            f"{os.getloadavg()[0]:.1f})"
        )
        assert got["images"] == count


def _before(run: RunFolder, folder: Path) -> Path:
    """The model before, with the decline rule that was chosen for it, and no correction."""
    shutil.copytree(run.get_artifact_path("model"), folder)
    policy = {
        "decline": read_json(run.get_artifact_path("comparison"))["decline"]["before"],
        "corrections": [],
    }
    about = {**read_json(folder / "model.json"), "bundle_format": 2, "run_id": run.run_id}
    about |= {"policy": policy, "slices": []}
    (folder / "bundle.json").write_text(json.dumps(about))
    return folder


@pytest.mark.timeout(1800)
def test_the_demo_at_its_decline_rule(tmp_path: Path) -> None:
    """On images drawn with another seed, which no run has seen; truth is what was drawn."""
    if not (RUNS / "champions" / "demo.json").is_file():
        pytest.skip(f"{RUNS}: no finished demo; make demo first, or set NIGHTSHIFT_DEMO_RUNS")
    data = tmp_path / "gate"
    gate_dataset.generate_dataset(data, photo_count=2400, seed=1)
    told = json.loads((data / gate_dataset.TRUTH_NAME).read_text())
    run = RunFolder.open_existing(RUNS / str(read_json(RUNS / "champions" / "demo.json")["run_id"]))
    print(f"\n{run.run_id} on fresh images of the val and test kind, seed 1")
    names = [
        name for name, truth in told.items() if truth["split"] != "train" and not truth["copy_of"]
    ]
    for words, night in (("night", True), ("day", False)):
        chosen = [name for name in names if told[name]["night"] is night]
        groups = np.array([told[name]["group"] for name in chosen])
        label = np.array([told[name]["label"] for name in chosen])
        for arm, folder in (
            ("before", _before(run, tmp_path / f"before {words}")),
            ("after", run.get_artifact_path("bundle")),
        ):
            rows = load_predictor(str(folder)).predict([data / name for name in chosen])
            kept = (rows["decision"] == "answer").to_numpy()
            wrong = (rows["predicted"] != label).to_numpy()
            error = estimate_cluster_mean(wrong[kept], groups[kept])
            print(
                f"  {words}, {arm}: {kept.mean():.1%} of {len(chosen)} answered, {error.value:.1%} "
                "of them wrong "
                f"({error.low:.1%} to {error.high:.1%} by visit); all answered: {wrong.mean():.1%} "
                "wrong"
            )
            assert len(rows) == len(chosen)
