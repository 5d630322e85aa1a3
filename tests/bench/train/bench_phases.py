"""`make bench`: whether `ema_decay`, `initial_side_share`, `frozen_share` and `head_only` pay.

Measured: accuracy and CPU time, alternating, on the same images. NIGHTSHIFT_BENCH_DATA: a folder
with one folder for each class; by default the flowers. NIGHTSHIFT_BENCH_TRAINING_IMAGES: number of
training images; the test images are half of that. NIGHTSHIFT_BENCH_GROUP: a pattern with the group
of a file name in brackets; images are drawn by whole groups.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import build_network
from pipeline.learning.training.training_loop import fit_network
from pipeline.learning.training_settings import FitSettings

ROOT = Path(__file__).resolve().parents[3]
DEFAULT_DATA = ROOT.parent / "shared" / "data" / "flowers"
DATA = Path(os.environ.get("NIGHTSHIFT_BENCH_DATA", DEFAULT_DATA))
TRAINING_IMAGES = int(os.environ.get("NIGHTSHIFT_BENCH_TRAINING_IMAGES", "640"))
EPOCHS = float(os.environ.get("NIGHTSHIFT_BENCH_EPOCHS", "4"))
SEEDS = int(os.environ.get("NIGHTSHIFT_BENCH_SEEDS", "3"))
GROUP_PATTERN = re.compile(os.environ.get("NIGHTSHIFT_BENCH_GROUP", "(.+)"))
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm")
SIDE = 64
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ema_decay .99": {"ema_decay": 0.99},
    "initial_side_share .5": {"initial_side_share": 0.5},
    "frozen_share .1": {"frozen_share": 0.1},
    "head_only": {"head_only": True, "learning_rate": 2e-2},
}


@dataclass(frozen=True)
class PhaseData:
    """Training images, test images and class names."""

    training_images: TrainingImages
    test_images: TrainingImages
    class_names: list[str]


def _draw_files() -> list[Path]:
    """Return the files by whole groups, in an order that is the same each time."""
    files = sorted(file for file in DATA.rglob("*") if file.suffix.lower() in SUFFIXES)
    file_groups = {}
    for file in files:
        match = GROUP_PATTERN.search(file.name)
        if match:
            file_groups[file] = (file.parent.name, match[1])
    groups = sorted(set(file_groups.values()))
    ranks = np.random.default_rng(0).permutation(len(groups)).tolist()
    rank_by_group = dict(zip(groups, ranks, strict=True))
    return sorted(file_groups, key=lambda file: (rank_by_group[file_groups[file]], file))


def _read_images(files: list[Path], class_names: list[str]) -> TrainingImages:
    images = []
    for file in files:
        image = cv2.imread(str(file))[:, :, ::-1]
        images.append(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    labels = np.array([class_names.index(file.parent.name) for file in files], dtype=np.int64)
    return TrainingImages(np.stack(images), np.arange(len(files)), labels)


def _load_data() -> PhaseData:
    files = _draw_files()
    class_names = sorted({file.parent.name for file in files})
    training_images = _read_images(files[:TRAINING_IMAGES], class_names)
    test_images = _read_images(files[-(TRAINING_IMAGES // 2) :], class_names)
    return PhaseData(training_images, test_images, class_names)


def _train_variant(
    data: PhaseData, changes: dict[str, Any], seed: int, scratch: Path
) -> tuple[float, float]:
    """Return the accuracy, and the CPU seconds of the training."""
    network, meta = build_network(
        "tf_efficientnet_lite0", "packaged", data.class_names, SIDE, 0.0, seed=seed
    )
    settings = {"epochs": EPOCHS, "evaluation_interval": 10**6} | changes
    began = time.process_time()
    fitted = fit_network(
        network,
        meta,
        data.training_images,
        FitSettings.model_validate(settings),
        seed=seed,
        scratch_folder=scratch,
    )
    seconds = time.process_time() - began
    predictions = compute_logits(fitted.model, data.test_images.pixels, meta).argmax(1)
    return float((predictions == data.test_images.labels).mean()), seconds


@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there")
@pytest.mark.timeout(36000)
def test_whether_each_pays(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    data = _load_data()
    measurements: dict[str, list[tuple[float, float]]] = {name: [] for name in VARIANTS}
    for seed in range(SEEDS):
        for name, changes in VARIANTS.items():
            accuracy, seconds = _train_variant(data, changes, seed, tmp_path / f"{name}-{seed}")
            measurements[name].append((accuracy, seconds))
            print(f"{name:<22} seed {seed}: {accuracy:.1%} right, {seconds:.1f} s of CPU")
    print(
        f"\n{DATA.name}: {len(data.training_images)} training images, {len(data.test_images)} test "
        f"images, {EPOCHS:g} epochs, {SEEDS} seeds"
    )
    for name, rows in measurements.items():
        accuracies, cpu_seconds = zip(*rows, strict=True)
        print(
            f"{name:<22} {statistics.mean(accuracies):.1%} right on average "
            f"({min(accuracies):.1%} to {max(accuracies):.1%}), "
            f"{statistics.median(cpu_seconds):.1f} s of CPU"
        )
    best_plain = max(accuracy for accuracy, _ in measurements["plain"])
    assert best_plain > 1.5 / len(data.class_names)
