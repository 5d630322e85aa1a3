"""`make bench-gpu`: what a training makes of a GPU; prints a table, and is skipped with a reason where there is none.

NIGHTSHIFT_BENCH_CIFAR: a folder that torchvision.datasets.CIFAR10 reads (cifar-10-batches-py within), for the seconds
to 94 %. NIGHTSHIFT_BENCH_BACKBONE: a timm network for that, with weights `none`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from pipeline.learning.batches.batch_sampling import TrainingImages, normalize_pixels
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import build_network, move_to_device
from pipeline.learning.training.device_policy import (
    apply_precision,
    choose_precision,
    create_autocast,
    describe_device,
)
from pipeline.learning.training.targeted_treatment import (
    TargetedTreatment,
    build_targeted_treatment,
)
from pipeline.learning.training.training_loop import fit_network
from pipeline.learning.training.training_setup import create_optimizer
from pipeline.learning.training_settings import FitSettings
from pipeline.remedies import apply_remedy

GPU = torch.device("cuda")
SIDE, BATCH, STEPS, ROUNDS, NAMES = 64, 256, 400, 3, ["lying", "standing"]
SETTINGS = FitSettings(
    image_passes=BATCH * STEPS, batch_size=BATCH, compile=False, evaluation_interval=STEPS
)
BUDGETS = (4, 8, 16, 32)  # epochs
LINE = [
    "nvidia-smi",
    "--query-gpu=utilization.gpu",
    "--format=csv,noheader,nounits",
    "-lms",
    "100",
    "-i",
    "0",
]
pytestmark = [
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason="no CUDA GPU here: torch.cuda.is_available() says no"
    ),
    pytest.mark.timeout(3600),
]


@contextmanager
def _busy() -> Iterator[list[float]]:
    """Shares of the GPU's time in which a kernel ran, by nvidia-smi, tenth of a second by tenth of a second."""
    shares: list[float] = []
    with subprocess.Popen(LINE, stdout=subprocess.PIPE, text=True) as watch:
        yield shares
        watch.terminate()
        shares += [
            float(line) / 100 for line in (watch.communicate()[0] or "").split() if line.isdigit()
        ]


def _images(count: int = 20_000) -> TrainingImages:
    pixels = np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    return TrainingImages(pixels, np.arange(count), np.arange(count) % 2)


def _bare() -> float:
    """Images a second of the step alone, on one batch that lies on the GPU."""
    model, meta = build_network("tf_efficientnet_lite0", "packaged", NAMES, SIDE, 0.0)
    use = choose_precision(describe_device(GPU), 0)
    apply_precision(use)
    optimizer = create_optimizer(move_to_device(model).train(), SETTINGS)
    x = normalize_pixels(torch.rand(BATCH, 3, SIDE, SIDE, device=GPU) * 255, meta)
    truth = torch.arange(BATCH, device=GPU) % 2
    for step in range(STEPS + 20):
        if step == 20:
            torch.cuda.synchronize()
            began = time.perf_counter()
        with create_autocast(GPU, use):
            loss = F.cross_entropy(model(x).float(), truth)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
    torch.cuda.synchronize()
    return BATCH * STEPS / (time.perf_counter() - began)


def _plan(remedy: str, low: float, high: float, images: TrainingImages) -> TargetedTreatment:
    row = {
        "remedy": remedy,
        "strength_low": low,
        "strength_high": high,
        "probability": 0.5,
        "simulator": None,
        "slice": "s",
    }
    ids = [str(k) for k in images.image_rows.tolist()]
    plan = pd.DataFrame([row | {"image_id": i} for i in ids])
    return build_targeted_treatment(
        plan, pd.DataFrame({"image_id": ids, "label": "a"}), apply_remedy
    )


def _ours(
    images: TrainingImages, scratch: Path, treatment: TargetedTreatment | None
) -> tuple[float, float]:
    """Images a second of `fit`, from its first step on, and the busy share meanwhile."""
    model, meta = build_network("tf_efficientnet_lite0", "packaged", NAMES, SIDE, 0.0)
    began: list[float] = []

    def watched(items: Any, *, total: int, unit: str) -> Iterator[Any]:
        for number, item in enumerate(items):
            if number == 20:
                torch.cuda.synchronize()
                began.append(time.perf_counter())
            yield item

    with _busy() as shares:
        fit_network(
            model,
            meta,
            images,
            SETTINGS,
            treatment=treatment,
            seed=0,
            scratch_folder=scratch,
            track=watched,
        )
        torch.cuda.synchronize()
        took = time.perf_counter() - began[0]
    busy = shares[len(shares) // 3 :]  # the start is set-up
    return BATCH * (STEPS - 20) / took, statistics.mean(busy) if busy else float("nan")


def test_a_training_keeps_the_gpu_busy(tmp_path: Path) -> None:
    images, got = _images(), dict[str, list[tuple[float, float]]]()
    plans = {"plain": None, "exposure (twin)": _plan("exposure", 0.2, 1.0, images)}
    plans |= {
        "low_light (twin)": _plan("low_light", 0.2, 1.0, images),
        "jpeg (CPU)": _plan("jpeg", 20, 60, images),
    }
    for number in range(ROUNDS):
        got.setdefault("bare step", []).append((_bare(), 1.0))
        for name, plan in plans.items():
            got.setdefault(name, []).append(_ours(images, tmp_path / f"{number}-{name}", plan))
    print(
        f"\n{torch.cuda.get_device_name()}, "
        f"{choose_precision(describe_device(GPU), images.pixels.nbytes)}, medians of {ROUNDS}"
    )
    bare = statistics.median(rate for rate, _ in got["bare step"])
    for name, rows in got.items():
        rate, busy = (statistics.median(values) for values in zip(*rows, strict=True))
        print(
            f"{name:<18} {rate:9,.0f} images/s, {rate / bare:.2f} of the bare step, GPU busy "
            f"{busy:.0%}"
        )
    assert bare > 0


def _cifar(root: str) -> tuple[TrainingImages, TrainingImages]:
    from torchvision.datasets import CIFAR10

    parts = []
    for train in (True, False):
        data = CIFAR10(root, train=train, download=False)
        pixels = np.stack(
            [cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for p in data.data]
        )
        parts.append(
            TrainingImages(pixels, np.arange(len(pixels)), np.array(data.targets, dtype=np.int64))
        )
    return parts[0], parts[1]


@pytest.mark.skipif(
    "NIGHTSHIFT_BENCH_CIFAR" not in os.environ, reason="NIGHTSHIFT_BENCH_CIFAR names no CIFAR-10"
)
def test_seconds_to_94_percent_on_cifar10(tmp_path: Path) -> None:
    """Whole trainings of more and more epochs: the first that reaches it counts (airbench94.

    2.6 s on an A100).
    """
    train, test = _cifar(os.environ["NIGHTSHIFT_BENCH_CIFAR"])
    backbone = os.environ.get("NIGHTSHIFT_BENCH_BACKBONE", "resnet18")
    for epochs in BUDGETS:
        model, meta = build_network(backbone, "none", [str(k) for k in range(10)], SIDE, 0.0)
        settings = FitSettings(
            epochs=epochs, batch_size=512, max_crop=0.2, evaluation_interval=10**6
        )
        torch.cuda.synchronize()
        began = time.perf_counter()
        fitted = fit_network(
            model, meta, train, settings, seed=0, scratch_folder=tmp_path / str(epochs)
        )
        torch.cuda.synchronize()
        took = time.perf_counter() - began
        right = float(
            (
                compute_logits(fitted.model, test.pixels, meta, batch_size=512).argmax(1)
                == test.labels
            ).mean()
        )
        print(f"\n{backbone}, {epochs} epochs: {took:.1f} s, {right:.2%} of the test images right")
        if right >= 0.94:
            break
    assert right > 0.5
