"""`make bench`: what a training costs beside the bare model step and other frameworks' loops.

They alternate, and medians are printed. NIGHTSHIFT_BENCH_PYTHON: an interpreter that has fastai and
ultralytics (and this project's packages), if this one has not. NIGHTSHIFT_BENCH_TIMM: timm's
train.py. NIGHTSHIFT_BENCH_TRAIN, NIGHTSHIFT_BENCH_EPOCHS, NIGHTSHIFT_BENCH_ROUNDS: images, epochs
and rounds. On a busy machine the CPU time is more reliable than the wall clock.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.bench.train.training_loops import CLASS_NAMES, TRAINING_LOOPS

ROOT = Path(__file__).resolve().parents[3]
PYTHON = os.environ.get("NIGHTSHIFT_BENCH_PYTHON", sys.executable)
IMAGES = int(os.environ.get("NIGHTSHIFT_BENCH_TRAIN", "960"))
EPOCHS = int(os.environ.get("NIGHTSHIFT_BENCH_EPOCHS", "8"))
ROUNDS = int(os.environ.get("NIGHTSHIFT_BENCH_ROUNDS", "3"))
THREADS = os.environ.get("OMP_NUM_THREADS", "1")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": THREADS}
BAR_SIZES = ((60, 240), (240, 60))  # height and width, lying and standing
Figures = dict[str, Any]


def _draw_image(class_index: int, rng: np.random.Generator) -> np.ndarray:
    coarse = rng.integers(40, 140, (15, 20, 3), dtype=np.uint8)
    wall = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
    height, width = BAR_SIZES[class_index]
    top, left = rng.integers(0, 480 - height), rng.integers(0, 640 - width)
    wall[top : top + height, left : left + width] = rng.integers(120, 200, 3)
    return np.clip(wall + rng.normal(0, 12, wall.shape), 0, 255).astype(np.uint8)


def _draw_images(root: Path, count: int) -> Path:
    """Write `count` training images of 640 x 480 px as JPEG, and a fifth of that for val."""
    rng = np.random.default_rng(0)
    for number in range(count + count // 5):
        class_index = number % 2
        folder = root / ("train" if number < count else "val") / CLASS_NAMES[class_index]
        folder.mkdir(parents=True, exist_ok=True)
        image = _draw_image(class_index, rng)
        path = str(folder / f"{number:05d}.jpg")
        cv2.imwrite(path, image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return root


def _run_loop(name: str, folder: Path) -> Figures | None:
    """Return the figures of one training, or None if it did not run."""
    module = [PYTHON, "-m", "tests.bench.train.training_loops"]
    done = subprocess.run(
        [*module, name, str(folder), str(EPOCHS)],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        error_lines = done.stderr.strip().splitlines() or ["?"]
        print(f"\n{name} did not run: {error_lines[-1]}")
        return None
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


@pytest.mark.timeout(3600)
def test_a_training_beside_the_bare_step_and_other_loops(tmp_path: Path) -> None:
    folder = _draw_images(tmp_path / "images", IMAGES)
    rounds: dict[str, list[Figures]] = {}
    absent = set[str]()
    for _ in range(ROUNDS):
        for name in TRAINING_LOOPS:
            figures = None if name in absent else _run_loop(name, folder)
            if figures:
                rounds.setdefault(name, []).append(figures)
            else:
                absent.add(name)
    medians = {}
    for name, rows in rounds.items():
        medians[name] = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    own = medians["nightshift"]
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"\n{IMAGES} images, {EPOCHS} epochs, {THREADS} thread(s), medians of {ROUNDS} rounds, "
        f"load {load}"
    )
    for name, row in medians.items():
        print(
            f"{name:<12} {row['seconds']:6.1f} s, {row['cpu']:6.1f} s of CPU, "
            f"{row['accuracy']:.1%} right, {row['peak']:,.0f} MB (a worker {row['worker']:,.0f}); "
            f"nightshift is {row['seconds'] / own['seconds']:.2f} times as fast, by CPU "
            f"{row['cpu'] / own['cpu']:.2f}"
        )
    assert own["accuracy"] > 0.9
