"""One training in a separate process, by the product or by another framework.

    python -m tests.bench.train.training_loops NAME FOLDER EPOCHS

All train on the same images (FOLDER/train/CLASS/*.jpg, 640 x 480) at 64 px, with the same network
from the same start, batches of 32, AdamW, and equally many steps. It prints JSON: seconds and CPU
seconds of the training (without imports, set-up and testing), accuracy on FOLDER/val, and peak
memory in MB.
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

SIDE, BATCH_SIZE, LEARNING_RATE = 64, 32, 2e-3
WEIGHT_DECAY, LABEL_SMOOTHING = 0.02, 0.05
CLASS_NAMES = ["lying", "standing"]
WORKERS = os.cpu_count() or 1


def read_small_images(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return images squeezed to a square, uint8 [images, 64, 64, 3] RGB, and class indices."""
    files = sorted(folder.glob("*/*.jpg"))
    images = []
    for file in files:
        image = cv2.imread(str(file))[:, :, ::-1]
        images.append(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    return np.stack(images), np.array([CLASS_NAMES.index(file.parent.name) for file in files])


def build_start_network() -> tuple[nn.Module, dict[str, Any]]:
    """Return the start network of every loop, and its metadata."""
    from pipeline.learning.models.backbone import build_network, move_to_device

    network, meta = build_network("tf_efficientnet_lite0", "packaged", CLASS_NAMES, SIDE, 0.0)
    return move_to_device(network), meta


def _load_tensors(folder: Path, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    from pipeline.learning.batches.batch_sampling import build_input_tensor

    pixels, labels = read_small_images(folder / part)
    meta = {"mean": [0.5] * 3, "std": [0.5] * 3}
    return build_input_tensor(pixels, meta, torch.device("cpu")), torch.from_numpy(labels)


def compute_accuracy(network: nn.Module, folder: Path) -> float:
    """Return the accuracy on the images of val."""
    inputs, labels = _load_tensors(folder, "val")
    with torch.inference_mode():
        return float((network.eval()(inputs).argmax(1) == labels).float().mean())


class Stopwatch:
    """Measures seconds and CPU seconds, with child processes."""

    def __enter__(self) -> Stopwatch:
        self.seconds, self.cpu_seconds = -time.perf_counter(), -self._read_cpu_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter()
        self.cpu_seconds += self._read_cpu_seconds()

    def _read_cpu_seconds(self) -> float:
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system


def _create_optimizer(network: nn.Module, *, fused: bool = False) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=fused or None
    )


def _take_step(
    network: nn.Module, optimizer: torch.optim.Optimizer, inputs: torch.Tensor, labels: torch.Tensor
) -> None:
    batch = inputs.contiguous(memory_format=torch.channels_last)
    loss = F.cross_entropy(network(batch), labels, label_smoothing=LABEL_SMOOTHING)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def train_bare(folder: Path, epochs: int, stopwatch: Stopwatch) -> float:
    """Repeat the model's step on one batch: nothing is read, moved or transformed."""
    network, _ = build_start_network()
    inputs, labels = _load_tensors(folder, "train")
    optimizer = _create_optimizer(network, fused=True)
    rows = np.random.default_rng(0).choice(len(inputs), BATCH_SIZE, replace=False)
    batch = inputs[rows].contiguous(memory_format=torch.channels_last)
    network.train()
    with stopwatch:
        for _ in range(epochs * len(inputs) // BATCH_SIZE):
            _take_step(network, optimizer, batch, labels[:BATCH_SIZE])
    return float("nan")


def train_nightshift(folder: Path, epochs: int, stopwatch: Stopwatch) -> float:
    """Train by the product's loop from a memory map, with a holdout of a tenth and checkpoints."""
    from pipeline.learning.batches.batch_sampling import TrainingImages
    from pipeline.learning.training.training_loop import fit_network
    from pipeline.learning.training_settings import FitSettings

    network, meta = build_start_network()
    pixels, labels = read_small_images(folder / "train")
    with TemporaryDirectory() as scratch:
        np.save(Path(scratch) / "pixels.npy", pixels)
        mapped = np.load(Path(scratch) / "pixels.npy", mmap_mode="r")
        images = TrainingImages(mapped, np.arange(len(labels)), labels)
        holdout = images.select_images(np.arange(0, len(labels), 10))
        settings = FitSettings(
            recipe="bare",
            epochs=epochs,
            batch_size=BATCH_SIZE,
            learning_rate=LEARNING_RATE,
            patience=99,
        )
        with stopwatch:
            fitted = fit_network(
                network,
                meta,
                images,
                settings,
                holdout=holdout,
                seed=0,
                scratch_folder=Path(scratch),
            )
    return compute_accuracy(fitted.model, folder)


def train_plain(folder: Path, epochs: int, stopwatch: Stopwatch) -> float:
    """Train with ImageFolder, DataLoader and torchvision, as one writes it without a framework.

    Every epoch decodes every image.
    """
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    chain = transforms.Compose(
        [
            transforms.Resize((SIDE, SIDE)),
            transforms.RandomAffine(0, (0.06, 0.06)),
            transforms.ToTensor(),
            transforms.Normalize(0.5, 0.5),
        ]
    )
    data = datasets.ImageFolder(str(folder / "train"), chain)
    network, _ = build_start_network()
    optimizer = _create_optimizer(network)
    with stopwatch:
        loader = DataLoader(
            data,
            BATCH_SIZE,
            shuffle=True,
            num_workers=WORKERS,
            persistent_workers=True,
            drop_last=len(data) % BATCH_SIZE != 0,
        )
        network.train()
        for _ in range(epochs):
            for inputs, labels in loader:
                _take_step(network, optimizer, inputs, labels)
        del loader
    return compute_accuracy(network, folder)


def train_fastai(folder: Path, epochs: int, stopwatch: Stopwatch) -> float:
    """Train by fastai's Learner on the same network, with its own data blocks."""
    from fastai.vision import all as fastai

    network, _ = build_start_network()
    data = fastai.ImageDataLoaders.from_folder(
        folder,
        train="train",
        valid="val",
        item_tfms=fastai.Resize(SIDE, method="squish"),
        bs=BATCH_SIZE,
        batch_tfms=fastai.Normalize.from_stats([0.5] * 3, [0.5] * 3, cuda=False),
        num_workers=WORKERS,
    )
    learner = fastai.Learner(
        data, network, loss_func=fastai.CrossEntropyLossFlat(), lr=LEARNING_RATE
    )
    with stopwatch, learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(epochs, LEARNING_RATE)
    return compute_accuracy(network, folder)


def train_ultralytics(folder: Path, epochs: int, stopwatch: Stopwatch) -> float:
    """Train by Ultralytics with yolo11n-cls from scratch: it accepts no other network."""
    with TemporaryDirectory() as scratch:
        # Its settings belong to the machine; here it must not log to MLflow.
        os.environ["YOLO_CONFIG_DIR"] = scratch
        from ultralytics import YOLO, settings

        settings.update({"mlflow": False})
        model = YOLO("yolo11n-cls.yaml")
        with stopwatch:
            model.train(
                data=str(folder),
                epochs=epochs,
                imgsz=SIDE,
                batch=BATCH_SIZE,
                device="cpu",
                project=scratch,
                verbose=False,
                workers=WORKERS,
                plots=False,
            )
    return float(model.metrics.top1 if model.metrics else float("nan"))


def train_timm(folder: Path, epochs: int, stopwatch: Stopwatch) -> float:
    """Train by timm's own script from the same start.

    NIGHTSHIFT_BENCH_TIMM: its train.py, which is not in the package.
    """
    script = os.environ["NIGHTSHIFT_BENCH_TIMM"]
    with TemporaryDirectory() as scratch:
        start = Path(scratch) / "start.pth"
        torch.save(build_start_network()[0].state_dict(), start)
        options: dict[str, Any] = {
            "train-split": "train",
            "val-split": "val",
            "model": "tf_efficientnet_lite0",
            "num-classes": len(CLASS_NAMES),
            "img-size": SIDE,
            "batch-size": BATCH_SIZE,
            "validation-batch-size": 64,
            "opt": "adamw",
            "lr": LEARNING_RATE,
            "weight-decay": WEIGHT_DECAY,
            "smoothing": LABEL_SMOOTHING,
            "warmup-epochs": 0,
            "epochs": epochs,
            "device": "cpu",
            "seed": 0,
            "workers": WORKERS,
            "initial-checkpoint": start,
            "output": scratch,
            "experiment": "x",
        }
        flags = ["--channels-last", "--no-aug", "--no-prefetcher"]
        flags += [f"--{name}={value}" for name, value in options.items()]
        for name in ("mean", "std"):
            flags += [f"--{name}", "0.5", "0.5", "0.5"]
        sys.argv = [script, str(folder), *flags]
        with stopwatch:
            runpy.run_path(script, run_name="__main__")
        header, *_, last = (Path(scratch) / "x" / "summary.csv").read_text().splitlines()
        return float(last.split(",")[header.split(",").index("eval_top1")]) / 100


TRAINING_LOOPS: dict[str, Callable[[Path, int, Stopwatch], float]] = {
    "bare": train_bare,
    "nightshift": train_nightshift,
    "plain": train_plain,
    "fastai": train_fastai,
    "timm": train_timm,
    "ultralytics": train_ultralytics,
}


def main(name: str, folder: Path, epochs: int) -> None:
    """Train by one loop and print its figures."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    stopwatch = Stopwatch()
    accuracy = TRAINING_LOOPS[name](folder, epochs, stopwatch)
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak, worker_peak = (resource.getrusage(kind).ru_maxrss // 1024 for kind in kinds)
    figures = {
        "seconds": stopwatch.seconds,
        "cpu": stopwatch.cpu_seconds,
        "accuracy": accuracy,
        "peak": peak,
        "worker": worker_peak,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
