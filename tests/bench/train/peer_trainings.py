"""One default training in a separate process, by the product or by a peer, and its test accuracy.

    python -m tests.bench.train.peer_trainings NAME FOLDER EPOCHS SEED [SETTINGS]

FOLDER holds train, val and test, each with a folder a class. Everybody reads the images at 64 px.
All start from the packaged weights but Ultralytics, which takes no other network than its own and
starts from scratch. Everything else is the default of each. The last line is JSON: seconds and CPU
seconds of the training, accuracy on test, and peak memory in MB. SETTINGS are further settings of
the stage `train` of the product, as YAML in one line.
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from pipeline.data.reading.image_decoding import letterbox_image
from pipeline.data.reading.image_sources import open_image
from tests.bench.train.training_loops import Stopwatch

SIDE, BATCH_SIZE, THREADS = 64, 32, 1
BACKBONE = "tf_efficientnet_lite0"
Trained = tuple[Stopwatch, float]


def _list_test_images(folder: Path) -> tuple[list[str], list[str]]:
    files = sorted((folder / "test").glob("*/*"))
    return [str(file) for file in files], [file.parent.name for file in files]


def train_nightshift(folder: Path, epochs: float, seed: int, settings: str = "") -> Trained:
    """Run the stages up to `train` on the folder as it is."""
    runner = import_module("pipeline.engine.runner")
    backbone = import_module("pipeline.learning.models.backbone")
    model_outputs = import_module("pipeline.learning.inference.model_outputs")
    with TemporaryDirectory() as scratch:
        config = Path(scratch) / "peers.yaml"
        config.write_text(
            f"name: peers\nseed: {seed}\nruns: {scratch}/runs\nreports: {scratch}/reports\n"
            f"ingest: {{data: {folder}, side: {SIDE}, follow_links: true}}\n"
            f"train: {{epochs: {epochs}, {settings}}}\n"
        )
        resolved = runner.load_config(config)
        run = runner.create_run_folder(resolved)
        for stage in ("ingest", "measure", "split", "monitor"):
            runner.run_stage(run, resolved, stage)
        with Stopwatch() as stopwatch:
            runner.run_stage(run, resolved, "train")
        model, meta = backbone.load_model(run.get_artifact_path("model"))
        files, labels = _list_test_images(folder)
        pixels = np.stack([letterbox_image(open_image(Path(file), SIDE), SIDE) for file in files])
        predicted = model_outputs.compute_logits(model, pixels, meta).argmax(1)
    return stopwatch, float(np.mean(np.array(meta["classes"])[predicted] == np.array(labels)))


def _build_packaged_network(classes: list[str]) -> torch.nn.Module:
    backbone = import_module("pipeline.learning.models.backbone")
    network: torch.nn.Module = backbone.build_network(BACKBONE, "packaged", classes, SIDE, 0.0)[0]
    return network


def train_fastai(folder: Path, epochs: float, seed: int) -> Trained:
    """Call `vision_learner` and `fine_tune`: its head, its rates, its augmentation."""
    fastai = import_module("fastai.vision.all")
    fastai.set_seed(seed, reproducible=True)
    images = fastai.ImageDataLoaders.from_folder(
        folder,
        train="train",
        valid="val",
        item_tfms=fastai.Resize(SIDE),
        batch_tfms=[
            *fastai.aug_transforms(size=SIDE),
            fastai.Normalize.from_stats([0.5] * 3, [0.5] * 3, cuda=False),
        ],
        bs=BATCH_SIZE,
        num_workers=0,
    )
    learner = fastai.vision_learner(
        images, BACKBONE, pretrained=False, normalize=False, metrics=fastai.accuracy
    )
    packaged = _build_packaged_network(list(images.vocab)).state_dict()
    body = learner.model[0].model
    body.load_state_dict({k: v for k, v in packaged.items() if not k.startswith("classifier")})
    with Stopwatch() as stopwatch, learner.no_bar(), learner.no_logging():
        learner.freeze()  # as with pretrained=True
        learner.fine_tune(int(epochs))
    files, labels = _list_test_images(folder)
    with learner.no_bar():
        scores, _ = learner.get_preds(dl=images.test_dl(files))
    predicted = np.array(images.vocab)[scores.argmax(1).numpy()]
    return stopwatch, float(np.mean(predicted == np.array(labels)))


TIMM_FINE_TUNING = {
    "opt": "rmsproptf",
    "opt-eps": 0.001,
    "weight-decay": 1e-5,
    "lr": 0.1 * 0.016 * BATCH_SIZE / 256,
    "sched-on-updates": None,
}
"""What timm's author advises for another data set with a new head: a tenth of the learning rate of
the recipe of EfficientNet (huggingface/pytorch-image-models, issues 25 and 11). The average of its
weights is left out, since its decay suits tens of thousands of steps. The warm-up goes by steps:
by epochs, the first of four would train at 1e-5."""


def train_timm(
    folder: Path, epochs: float, seed: int, options: Mapping[str, object] | None = None
) -> Trained:
    """Run timm's train.py and judge its last epoch; its five epochs of warm-up would be most.

    NIGHTSHIFT_BENCH_TIMM: its train.py, which is not in the package.

    Args:
        folder: the images by split and class.
        epochs: epochs of the training.
        seed: its seed.
        options: arguments that differ from its defaults.
    """
    script = os.environ["NIGHTSHIFT_BENCH_TIMM"]
    classes = sorted(path.name for path in (folder / "train").iterdir())
    with TemporaryDirectory() as scratch:
        start, class_map = Path(scratch) / "start.pth", Path(scratch) / "classes.txt"
        torch.save(_build_packaged_network(classes).state_dict(), start)
        class_map.write_text("\n".join(classes))  # else classes are numbered anew in each split
        arguments: dict[str, object] = {
            "train-split": "train",
            "val-split": "val",
            "class-map": class_map,
            "model": BACKBONE,
            "num-classes": len(classes),
            "img-size": SIDE,
            "batch-size": BATCH_SIZE,
            "epochs": int(epochs),
            "warmup-epochs": 1,
            "cooldown-epochs": 0,
            "device": "cpu",
            "seed": seed,
            "workers": 0,
            "initial-checkpoint": start,
            "output": scratch,
            "experiment": "x",
        } | dict(options or {})
        words = [f"--{k}" if v is None else f"--{k}={v}" for k, v in arguments.items()]
        sys.argv = [script, str(folder), *words]
        with Stopwatch() as stopwatch:
            runpy.run_path(script, run_name="__main__")
        last = Path(scratch) / "x" / "last.pth.tar"
        return stopwatch, _score_timm_checkpoint(folder, last, class_map, len(classes))


def _score_timm_checkpoint(
    folder: Path, checkpoint: Path, class_map: Path, class_count: int
) -> float:
    """Return the test accuracy of a checkpoint with timm's own reading of the images."""
    timm, data = import_module("timm"), import_module("timm.data")
    network = timm.create_model(
        BACKBONE, num_classes=class_count, checkpoint_path=str(checkpoint)
    ).eval()
    images = data.create_dataset("", root=str(folder), split="test", class_map=str(class_map))
    config = data.resolve_data_config({"img_size": SIDE}, model=network)
    keys = ("input_size", "interpolation", "mean", "std", "crop_pct")
    shared = {key: config[key] for key in keys} | {"num_workers": 0, "use_prefetcher": False}
    loader = data.create_loader(images, batch_size=BATCH_SIZE, is_training=False, **shared)
    with torch.inference_mode():
        hits = [network(pixels).argmax(1) == labels for pixels, labels in loader]
    return float(torch.cat(hits).float().mean())


def train_ultralytics(folder: Path, epochs: float, seed: int) -> Trained:
    """Call `YOLO.train` for yolo11n-cls, from scratch."""
    with TemporaryDirectory() as scratch:
        os.environ["YOLO_CONFIG_DIR"] = scratch
        ultralytics = import_module("ultralytics")
        ultralytics.settings.update({"mlflow": False})
        model = ultralytics.YOLO("yolo11n-cls.yaml")
        shared = {"data": str(folder), "imgsz": SIDE, "device": "cpu", "plots": False}
        shared |= {"workers": 0, "verbose": False, "project": scratch}
        with Stopwatch() as stopwatch:
            model.train(**shared, epochs=int(epochs), batch=BATCH_SIZE, seed=seed)
        return stopwatch, float(model.val(**shared, split="test").top1)


TRAININGS: dict[str, Callable[..., Trained]] = {
    "nightshift": train_nightshift,
    "timm": train_timm,
    "timm-fine-tuning": partial(train_timm, options=TIMM_FINE_TUNING),
    "fastai": train_fastai,
    "ultralytics": train_ultralytics,
}


def main(name: str, folder: Path, epochs: float, seed: int, *settings: str) -> None:
    """Train once and print the figures."""
    torch.set_num_threads(THREADS)
    stopwatch, accuracy = TRAININGS[name](folder, epochs, seed, *settings)
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    figures = {
        "seconds": stopwatch.seconds,
        "cpu": stopwatch.cpu_seconds,
        "accuracy": accuracy,
        "peak": sum(resource.getrusage(kind).ru_maxrss // 1024 for kind in kinds),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
