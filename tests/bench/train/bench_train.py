"""`make bench`: what a training costs beside the bare model step and other people's loops; alternating, medians.

NIGHTSHIFT_BENCH_PYTHON names an interpreter that has fastai and ultralytics (and this project's packages) where the
project's own has not; NIGHTSHIFT_BENCH_TIMM is timm's train.py. A busy machine shows in the wall
clock; the CPU time says more there.
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

from tests.bench.train.rivals import NAMES, RIVALS

ROOT = Path(__file__).resolve().parents[3]
PYTHON = os.environ.get("NIGHTSHIFT_BENCH_PYTHON", sys.executable)
PHOTOS = int(os.environ.get("NIGHTSHIFT_BENCH_TRAIN", "960"))
ROUNDS, EPOCHS = 3, int(os.environ.get("NIGHTSHIFT_BENCH_EPOCHS", "8"))
ENV = os.environ | {
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
}


def _draw(root: Path, count: int) -> Path:
    """JPEG files of 640 x 480 px: a bright bar that lies or stands on a noisy wall.

    A fifth as many for val.
    """
    rng = np.random.default_rng(0)
    for n in range(count + count // 5):
        wall = cv2.resize(
            rng.integers(40, 140, (15, 20, 3), dtype=np.uint8),
            (640, 480),
            interpolation=cv2.INTER_CUBIC,
        )
        high, wide = ((60, 240), (240, 60))[n % 2]
        top, left = rng.integers(0, 480 - high), rng.integers(0, 640 - wide)
        wall[top : top + high, left : left + wide] = rng.integers(120, 200, 3)
        noisy = np.clip(wall + rng.normal(0, 12, wall.shape), 0, 255).astype(np.uint8)
        place = root / ("train" if n < count else "val") / NAMES[n % 2]
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{n:05d}.jpg"), noisy, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return root


def _once(name: str, folder: Path) -> dict[str, Any] | None:
    line = [PYTHON, "-m", "tests.bench.train.rivals", name, str(folder), str(EPOCHS)]
    done = subprocess.run(line, cwd=ROOT, env=ENV, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"\n{name} did not run: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        return None
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


@pytest.mark.timeout(3600)
def test_a_training_beside_the_bare_step_and_other_loops(tmp_path: Path) -> None:
    folder, got = _draw(tmp_path / "images", PHOTOS), dict[str, list[dict[str, Any]]]()
    absent = set[str]()
    for _ in range(ROUNDS):
        for name in RIVALS:
            found = None if name in absent else _once(name, folder)
            if found:
                got.setdefault(name, []).append(found)
            else:
                absent.add(name)
    middle = {
        n: {k: statistics.median(r[k] for r in rows) for k in rows[0]} for n, rows in got.items()
    }
    ours = middle["nightshift"]
    load = "load " + " ".join(f"{one:.1f}" for one in os.getloadavg())
    print(
        f"\n{PHOTOS} images, {EPOCHS} epochs, {ENV['OMP_NUM_THREADS']} thread(s), medians of "
        f"{ROUNDS} rounds, {load}"
    )
    for name, row in middle.items():
        print(
            f"{name:<12} {row['seconds']:6.1f} s, {row['cpu']:6.1f} s of CPU, "
            f"{row['accuracy']:.1%} right, "
            f"{row['peak']:,.0f} MB (a worker {row['worker']:,.0f}); nightshift is "
            f"{row['seconds'] / ours['seconds']:.2f} times as fast, by CPU "
            f"{row['cpu'] / ours['cpu']:.2f}"
        )
    assert ours["accuracy"] > 0.9
