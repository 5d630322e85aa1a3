"""One training in a process of its own: `python -m tests.bench.train.rivals NAME FOLDER EPOCHS`.

All see the same images (FOLDER/train/CLASS/*.jpg, 640 x 480), at 64 px, the same network with the same start, batches
of 32, AdamW, as many steps. Prints JSON: seconds and CPU seconds of the training (imports, set-up and judging apart),
accuracy on FOLDER/val, peak memory in MB.
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

SIDE, BATCH, RATE = 64, 32, 2e-3
NAMES = ["lying", "standing"]


def small(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [n, 64, 64, 3] RGB, squeezed to a square, and class indices."""
    files = sorted(folder.glob("*/*.jpg"))
    images = [
        cv2.resize(cv2.imread(str(f))[:, :, ::-1], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        for f in files
    ]
    return np.stack(images), np.array([NAMES.index(f.parent.name) for f in files])


def network() -> tuple[nn.Module, dict[str, Any]]:
    from pipeline.learning.models.backbone import build_network, move_to_device

    model, meta = build_network("tf_efficientnet_lite0", "packaged", NAMES, SIDE, 0.0)
    return move_to_device(model), meta


def _tensors(folder: Path, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    from pipeline.learning.batches.batch_sampling import build_input_tensor

    pixels, labels = small(folder / part)
    x = build_input_tensor(pixels, {"mean": [0.5] * 3, "std": [0.5] * 3}, torch.device("cpu"))
    return x, torch.from_numpy(labels)


def accuracy(model: nn.Module, folder: Path) -> float:
    x, truth = _tensors(folder, "val")
    with torch.inference_mode():
        return float((model.eval()(x).argmax(1) == truth).float().mean())


class Watch:
    """Wall clock and CPU time, children's included."""

    def __enter__(self) -> Watch:
        self.wall, self.cpu = -time.perf_counter(), -self._cpu()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter()
        self.cpu += self._cpu()

    def _cpu(self) -> float:
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system


def _optimizer(model: nn.Module, *, fused: bool = False) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.02, fused=fused or None)


def _step(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, truth: torch.Tensor
) -> None:
    loss = F.cross_entropy(model(x), truth, label_smoothing=0.05)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def bare(folder: Path, epochs: int, watch: Watch) -> float:
    """The model's step on tensors that lie ready: nothing is read, moved or changed."""
    (model, _), (x, truth) = network(), _tensors(folder, "train")
    optimizer, order = _optimizer(model, fused=True), np.random.default_rng(0)
    batches = [
        x[order.choice(len(x), BATCH, replace=False)].contiguous(memory_format=torch.channels_last)
    ]
    steps = epochs * len(x) // BATCH
    model.train()
    with watch:
        for _ in range(steps):
            _step(model, optimizer, batches[0], truth[:BATCH])
    return float("nan")


def nightshift(folder: Path, epochs: int, watch: Watch) -> float:
    """The product's fit, with a holdout of a tenth, looks and checkpoints, from the memory map that ingest makes."""
    from pipeline.learning.batches.batch_sampling import TrainingImages
    from pipeline.learning.training.training_loop import fit_network
    from pipeline.learning.training_settings import FitSettings

    model, meta = network()
    pixels, labels = small(folder / "train")
    with TemporaryDirectory() as scratch:
        np.save(Path(scratch) / "pixels.npy", pixels)
        mapped = np.load(Path(scratch) / "pixels.npy", mmap_mode="r")
        images = TrainingImages(mapped, np.arange(len(labels)), labels)
        held = images.select_images(np.arange(0, len(labels), 10))
        settings = FitSettings(epochs=epochs, batch_size=BATCH, learning_rate=RATE, patience=99)
        with watch:
            fitted = fit_network(
                model, meta, images, settings, holdout=held, seed=0, scratch_folder=Path(scratch)
            )
    return accuracy(fitted.model, folder)


def plain(folder: Path, epochs: int, watch: Watch) -> float:
    """ImageFolder, DataLoader and torchvision: what one writes oneself.

    Every epoch decodes every image.
    """
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    chain = [
        transforms.Resize((SIDE, SIDE)),
        transforms.RandomAffine(0, (0.06, 0.06)),
        transforms.ToTensor(),
    ]
    data = datasets.ImageFolder(
        str(folder / "train"), transforms.Compose([*chain, transforms.Normalize(0.5, 0.5)])
    )
    (model, _), workers = network(), os.cpu_count() or 1
    optimizer, last = _optimizer(model), len(data) // BATCH * BATCH < len(data)
    with watch:
        loader = DataLoader(
            data, BATCH, shuffle=True, num_workers=workers, persistent_workers=True, drop_last=last
        )
        model.train()
        for _ in range(epochs):
            for x, truth in loader:
                _step(model, optimizer, x.contiguous(memory_format=torch.channels_last), truth)
        del loader
    return accuracy(model, folder)


def fastai(folder: Path, epochs: int, watch: Watch) -> float:
    """fastai's Learner on the same network, with its own data blocks."""
    from fastai.vision import all as v

    model, _ = network()
    data = v.ImageDataLoaders.from_folder(
        folder, train="train", valid="val", item_tfms=v.Resize(SIDE, method="squish"), bs=BATCH,
        batch_tfms=v.Normalize.from_stats([0.5] * 3, [0.5] * 3, cuda=False), num_workers=os.cpu_count() or 1,
    )  # fmt: skip
    learner = v.Learner(data, model, loss_func=v.CrossEntropyLossFlat(), lr=RATE)
    with watch, learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(epochs, RATE)
    return accuracy(model, folder)


def ultralytics(folder: Path, epochs: int, watch: Watch) -> float:
    """Ultralytics classify with a network of its own (yolo11n-cls, from scratch).

    It takes no other.
    """
    with TemporaryDirectory() as aside:
        os.environ["YOLO_CONFIG_DIR"] = (
            aside  # its settings are the machine's; here it is not to log to MLflow
        )
        from ultralytics import YOLO, settings

        settings.update({"mlflow": False})
        model = YOLO("yolo11n-cls.yaml")
        with watch:
            model.train(
                data=str(folder), epochs=epochs, imgsz=SIDE, batch=BATCH, device="cpu", project=aside, verbose=False,
                workers=os.cpu_count() or 1, plots=False,
            )  # fmt: skip
    found = model.metrics.top1 if model.metrics else float("nan")
    return float(found)


def timm(folder: Path, epochs: int, watch: Watch) -> float:
    """timm's own script (NIGHTSHIFT_BENCH_TIMM.

    Its train.py, which the package lacks) with the same start.
    """
    script = os.environ["NIGHTSHIFT_BENCH_TIMM"]
    with TemporaryDirectory() as aside:
        torch.save(network()[0].state_dict(), Path(aside) / "start.pth")
        told: dict[str, Any] = {
            "train-split": "train", "val-split": "val", "model": "tf_efficientnet_lite0", "num-classes": 2,
            "img-size": SIDE, "batch-size": BATCH, "validation-batch-size": 64, "opt": "adamw", "lr": RATE,
            "weight-decay": 0.02, "smoothing": 0.05, "warmup-epochs": 0, "epochs": epochs, "device": "cpu", "seed": 0,
            "workers": os.cpu_count() or 1, "initial-checkpoint": f"{aside}/start.pth", "output": aside,
            "experiment": "x",
        }  # fmt: skip
        flags = [
            "--channels-last",
            "--no-aug",
            "--no-prefetcher",
            *(f"--{key}={value}" for key, value in told.items()),
        ]
        halves = [word for key in ("mean", "std") for word in (f"--{key}", "0.5", "0.5", "0.5")]
        sys.argv = [script, str(folder), *flags, *halves]
        with watch:
            runpy.run_path(script, run_name="__main__")
        rows = (Path(aside) / "x" / "summary.csv").read_text().splitlines()
        return float(rows[-1].split(",")[rows[0].split(",").index("eval_top1")]) / 100


RIVALS: dict[str, Callable[..., float]] = {
    f.__name__: f for f in (bare, nightshift, plain, fastai, timm, ultralytics)
}


def main(name: str, folder: Path, epochs: int) -> None:
    """Train, and print what it took."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    watch = Watch()
    reached = RIVALS[name](folder, epochs, watch)
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = [resource.getrusage(kind).ru_maxrss // 1024 for kind in kinds]
    took = {"seconds": watch.wall, "cpu": watch.cpu, "accuracy": reached}
    print(json.dumps(took | {"peak": peak[0], "worker": peak[1]}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
