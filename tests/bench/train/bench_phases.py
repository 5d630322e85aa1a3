"""`make bench`: whether `ema`, `small`, `frozen` and `head_only` pay: accuracy and CPU time, alternating, same images.

NIGHTSHIFT_BENCH_PHOTOS: a folder with one folder a class; by default the flowers. NIGHTSHIFT_BENCH_LEARNT: images
learnt from (half as many are judged). NIGHTSHIFT_BENCH_GROUP: a pattern whose bracket finds the group in a name:
images are drawn by whole groups.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from pathlib import Path

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
FOLDER = Path(
    os.environ.get("NIGHTSHIFT_BENCH_PHOTOS", str(ROOT.parent / "shared" / "data" / "flowers"))
)
LEARNT, SIDE = int(os.environ.get("NIGHTSHIFT_BENCH_LEARNT", "640")), 64
EPOCHS, SEEDS = (
    float(os.environ.get("NIGHTSHIFT_BENCH_EPOCHS", "4")),
    int(os.environ.get("NIGHTSHIFT_BENCH_SEEDS", "3")),
)
GROUP = re.compile(os.environ.get("NIGHTSHIFT_BENCH_GROUP", "(.+)"))
WAYS = {
    "plain": {},
    "ema .99": {"ema_decay": 0.99},
    "small .5": {"initial_side_share": 0.5},
    "frozen .1": {"frozen_share": 0.1},
    "head only": {"head_only": True, "learning_rate": 2e-2},
}


def _images() -> tuple[TrainingImages, TrainingImages, list[str]]:
    """(learnt from, judged, names of the classes): drawn by group, the same each time."""
    files = sorted(
        f for f in FOLDER.rglob("*") if f.suffix.lower() in (".jpg", ".jpeg", ".png", ".ppm")
    )
    named = [(found[1], f) for f in files if (found := GROUP.search(f.name))]
    groups = sorted({(f.parent.name, g) for g, f in named})
    order = dict(
        zip(groups, np.random.default_rng(0).permutation(len(groups)).tolist(), strict=True)
    )
    chosen = sorted(named, key=lambda item: (order[item[1].parent.name, item[0]], item[1]))
    names = sorted({f.parent.name for f in files})
    parts = []
    for part in (chosen[:LEARNT], chosen[-(LEARNT // 2) :]):
        read = [
            cv2.resize(cv2.imread(str(f))[:, :, ::-1], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            for _, f in part
        ]
        labels = np.array([names.index(f.parent.name) for _, f in part], dtype=np.int64)
        parts.append(TrainingImages(np.stack(read), np.arange(len(part)), labels))
    return parts[0], parts[1], names


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"{FOLDER} is not there")
@pytest.mark.timeout(36000)
def test_whether_each_pays(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    images, judged, names = _images()
    got: dict[str, list[tuple[float, float]]] = {}
    for seed in range(SEEDS):
        for way, update in WAYS.items():
            model, meta = build_network(
                "tf_efficientnet_lite0", "packaged", names, SIDE, 0.0, seed=seed
            )
            settings = FitSettings.model_validate({"epochs": EPOCHS, "evaluation_interval": 10**6} | update)
            began = time.process_time()
            fitted = fit_network(
                model, meta, images, settings, seed=seed, scratch_folder=tmp_path / f"{way}-{seed}"
            )
            took = time.process_time() - began
            right = float(
                (
                    compute_logits(fitted.model, judged.pixels, meta).argmax(1) == judged.labels
                ).mean()
            )
            got.setdefault(way, []).append((right, took))
            print(f"{way:<10} seed {seed}: {right:.1%} right, {took:.1f} s of CPU", flush=True)
    print(
        f"\n{FOLDER.name}: {len(images)} images learnt from, {len(judged)} judged, {EPOCHS:g} "
        f"epochs, {SEEDS} seeds"
    )
    for way, rows in got.items():
        right, took = zip(*rows, strict=True)
        print(
            f"{way:<10} {statistics.mean(right):.1%} right on average ({min(right):.1%} to "
            f"{max(right):.1%}), "
            f"{statistics.median(took):.1f} s of CPU"
        )
    assert max(right for right, _ in got["plain"]) > 1.5 / len(names)
