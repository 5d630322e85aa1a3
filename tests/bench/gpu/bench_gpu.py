"""`make bench-gpu`: how well a training uses a GPU; skipped with a reason without one.

NIGHTSHIFT_BENCH_CIFAR: a folder that torchvision.datasets.CIFAR10 reads (cifar-10-batches-py in
it), for the seconds to 94 %. NIGHTSHIFT_BENCH_BACKBONE: a timm network for that, with weights
`none`.
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
from pipeline.learning.distributed import choose_precision, get_fabric, prepare_device
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import build_network, move_to_device
from pipeline.learning.training.targeted_treatment import (
    TargetedTreatment,
    build_targeted_treatment,
)
from pipeline.learning.training.training_loop import fit_network
from pipeline.learning.training.training_setup import create_optimizer
from pipeline.learning.training_settings import FitSettings
from pipeline.remedies import apply_remedy

GPU = torch.device("cuda")
SIDE, BATCH_SIZE, STEPS, ROUNDS, IMAGES = 64, 256, 400, 3, 20_000
WARMUP_STEPS = 20  # before the clock starts
CLASS_NAMES = ["lying", "standing"]
SETTINGS = FitSettings(
    recipe="bare",
    image_passes=BATCH_SIZE * STEPS,
    batch_size=BATCH_SIZE,
    compile=False,
    evaluation_interval=STEPS,
)
TARGET_ACCURACY = 0.94
EPOCH_BUDGETS = (4, 8, 16, 32)
UTILIZATION_COMMAND = [
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
        not torch.cuda.is_available(), reason="no CUDA GPU here: torch.cuda.is_available() is False"
    ),
    pytest.mark.timeout(3600),
]


@contextmanager
def _watch_utilization() -> Iterator[list[float]]:
    """Yield a list that afterwards holds the GPU's utilization in each tenth of a second."""
    shares: list[float] = []
    with subprocess.Popen(UTILIZATION_COMMAND, stdout=subprocess.PIPE, text=True) as process:
        yield shares
        process.terminate()
        lines = (process.communicate()[0] or "").split()
        shares += [float(line) / 100 for line in lines if line.isdigit()]


def _draw_images() -> TrainingImages:
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, SIDE, SIDE, 3), dtype=np.uint8)
    return TrainingImages(pixels, np.arange(IMAGES), np.arange(IMAGES) % 2)


def _measure_bare_step() -> float:
    """Return images a second of the step alone, on one batch in the memory of the GPU."""
    network, meta = build_network("tf_efficientnet_lite0", "packaged", CLASS_NAMES, SIDE, 0.0)
    prepare_device()
    optimizer = create_optimizer(move_to_device(network).train(), SETTINGS)
    pixels = torch.rand(BATCH_SIZE, 3, SIDE, SIDE, device=GPU) * 255
    inputs = normalize_pixels(pixels, meta)
    labels = torch.arange(BATCH_SIZE, device=GPU) % 2
    for step in range(STEPS + WARMUP_STEPS):
        if step == WARMUP_STEPS:
            torch.cuda.synchronize()
            began = time.perf_counter()
        with get_fabric().autocast():
            loss = F.cross_entropy(network(inputs).float(), labels)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
    torch.cuda.synchronize()
    return BATCH_SIZE * STEPS / (time.perf_counter() - began)


def _build_treatment(
    remedy: str, low: float, high: float, images: TrainingImages
) -> TargetedTreatment:
    ids = [str(row) for row in images.image_rows.tolist()]
    plan = pd.DataFrame({"image_id": ids}).assign(
        slice="s",
        remedy=remedy,
        strength_low=low,
        strength_high=high,
        probability=0.5,
        simulator=None,
    )
    image_table = pd.DataFrame({"image_id": ids, "label": "a"})
    return build_targeted_treatment(plan, image_table, apply_remedy)


def _measure_training(
    images: TrainingImages, scratch: Path, treatment: TargetedTreatment | None
) -> tuple[float, float]:
    """Return images a second of a training after its first steps, and the GPU's utilization."""
    network, meta = build_network("tf_efficientnet_lite0", "packaged", CLASS_NAMES, SIDE, 0.0)
    began: list[float] = []

    def track_progress(items: Any, *, total: int, unit: str) -> Iterator[Any]:
        for number, item in enumerate(items):
            if number == WARMUP_STEPS:
                torch.cuda.synchronize()
                began.append(time.perf_counter())
            yield item

    with _watch_utilization() as shares:
        fit_network(
            network,
            meta,
            images,
            SETTINGS,
            treatment=treatment,
            seed=0,
            scratch_folder=scratch,
            track=track_progress,
        )
        torch.cuda.synchronize()
        seconds = time.perf_counter() - began[0]
    training_shares = shares[len(shares) // 3 :]  # the start is set-up
    utilization = statistics.mean(training_shares) if training_shares else float("nan")
    return BATCH_SIZE * (STEPS - WARMUP_STEPS) / seconds, utilization


def test_a_training_keeps_the_gpu_busy(tmp_path: Path) -> None:
    images = _draw_images()
    treatments = {
        "plain": None,
        "exposure (twin)": _build_treatment("exposure", 0.2, 1.0, images),
        "low_light (twin)": _build_treatment("low_light", 0.2, 1.0, images),
        "jpeg (CPU)": _build_treatment("jpeg", 20, 60, images),
    }
    measurements: dict[str, list[tuple[float, float]]] = {"bare step": []}
    for number in range(ROUNDS):
        measurements["bare step"].append((_measure_bare_step(), 1.0))
        for name, treatment in treatments.items():
            measured = _measure_training(images, tmp_path / f"{number}-{name}", treatment)
            measurements.setdefault(name, []).append(measured)
    precision = choose_precision(torch.cuda.get_device_capability())
    print(f"\n{torch.cuda.get_device_name()}, {precision}, medians of {ROUNDS}")
    bare_rate = statistics.median(rate for rate, _ in measurements["bare step"])
    for name, rows in measurements.items():
        rate, utilization = (statistics.median(column) for column in zip(*rows, strict=True))
        print(
            f"{name:<18} {rate:9,.0f} images/s, {rate / bare_rate:.2f} of the bare step, GPU busy "
            f"{utilization:.0%}"
        )
    assert bare_rate > 0


def _load_cifar(root: str) -> tuple[TrainingImages, TrainingImages]:
    """Return the training images and the test images of CIFAR-10."""
    from torchvision.datasets import CIFAR10

    parts = []
    for is_training in (True, False):
        data = CIFAR10(root, train=is_training, download=False)
        images = []
        for image in data.data:
            images.append(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
        labels = np.array(data.targets, dtype=np.int64)
        parts.append(TrainingImages(np.stack(images), np.arange(len(images)), labels))
    return parts[0], parts[1]


def _train_on_cifar(
    backbone: str, training_images: TrainingImages, epochs: int, scratch: Path
) -> tuple[Any, dict[str, Any], float]:
    """Return the trained network, its metadata and the seconds of the training."""
    class_names = [str(number) for number in range(10)]
    network, meta = build_network(backbone, "none", class_names, SIDE, 0.0)
    settings = FitSettings(
        recipe="bare", epochs=epochs, batch_size=512, min_crop_area=0.64, evaluation_interval=10**6
    )
    torch.cuda.synchronize()
    began = time.perf_counter()
    fitted = fit_network(network, meta, training_images, settings, seed=0, scratch_folder=scratch)
    torch.cuda.synchronize()
    return fitted.model, meta, time.perf_counter() - began


@pytest.mark.skipif(
    "NIGHTSHIFT_BENCH_CIFAR" not in os.environ, reason="NIGHTSHIFT_BENCH_CIFAR names no CIFAR-10"
)
def test_seconds_to_94_percent_on_cifar10(tmp_path: Path) -> None:
    """The first of several ever longer trainings that reaches it counts.

    For comparison: airbench94 takes 2.6 s on an A100.
    """
    training_images, test_images = _load_cifar(os.environ["NIGHTSHIFT_BENCH_CIFAR"])
    backbone = os.environ.get("NIGHTSHIFT_BENCH_BACKBONE", "resnet18")
    for epochs in EPOCH_BUDGETS:
        scratch = tmp_path / str(epochs)
        network, meta, seconds = _train_on_cifar(backbone, training_images, epochs, scratch)
        logits = compute_logits(network, test_images.pixels, meta, batch_size=512)
        accuracy = float((logits.argmax(1) == test_images.labels).mean())
        print(
            f"\n{backbone}, {epochs} epochs: {seconds:.1f} s, {accuracy:.2%} of the test images "
            "right"
        )
        if accuracy >= TARGET_ACCURACY:
            break
    assert accuracy > 0.5
