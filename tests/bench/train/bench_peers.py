"""The default training beside fastai, timm's train.py and Ultralytics, at equal CPU time.

    python -m tests.bench.train.bench_peers [--data flowers gtsrb] [--seeds 3] [--images 1500]

One epoch of each peer is timed first; then it gets as many as fit the CPU time that the product's
default training took. NIGHTSHIFT_BENCH_PYTHON: an interpreter that has fastai and Ultralytics (pip
install fastai ultralytics) beside this project's packages; NIGHTSHIFT_BENCH_TIMM: timm's train.py.
A peer that is absent is left out, with the reason. The images are cut down to 128 px at most, and
everybody reads them at 64.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from tests.bench.results_file import format_table, write_section
from tests.bench.slices.clean_models import DEFAULT_FOLDERS, FOLDER_VARIABLES
from tests.bench.train.peer_trainings import TRAININGS

ROOT = Path(__file__).resolve().parents[3]
RESULTS_FILE = Path(__file__).with_name("RESULTS.md")
PYTHON = os.environ.get("NIGHTSHIFT_BENCH_PYTHON", sys.executable)
SHARES = {"train": 0.6, "val": 0.1, "test": 0.3}
"""Shares of the groups; val is for whatever a framework chooses by it."""


def list_images(name: str) -> pd.DataFrame:
    """Return path, label and group of the images of a data set; a flower is a group of its own."""
    folder = Path(os.environ.get(FOLDER_VARIABLES[name], DEFAULT_FOLDERS[name]))
    if name == "gtsrb":
        table = pd.read_csv(folder / "metadata.csv", dtype=str)
        table["path"] = [str(folder / file) for file in table["file_name"]]
        table["group"] = table["label"] + "/" + table["track"]
    else:
        files = sorted(folder.glob("*/*.jpg"))
        table = pd.DataFrame({"path": map(str, files), "label": [f.parent.name for f in files]})
        table["group"] = table["path"]
    return table[[Path(path).stat().st_size > 0 for path in table["path"]]]


def link_images(name: str, image_count: int, folder: Path) -> None:
    """Link a sample of the images under FOLDER/SPLIT/CLASS, whole groups in one split.

    Args:
        name: flowers or gtsrb.
        image_count: number of training images.
        folder: an empty folder.
    """
    table = list_images(name)
    rng = np.random.default_rng(0)
    groups = rng.permutation(table["group"].unique())
    ends = np.cumsum([round(share * len(groups)) for share in SHARES.values()])
    split_of = dict(zip(groups, np.digitize(np.arange(len(groups)), ends[:-1]), strict=True))
    table["split"] = np.array(list(SHARES))[table["group"].map(split_of).to_numpy()]
    for split, rows in table.groupby("split"):
        count = min(len(rows), round(image_count * SHARES[str(split)] / SHARES["train"]))
        for number, row in enumerate(rows.sample(count, random_state=0).itertuples()):
            target = folder / str(split) / str(row.label) / f"{number}{Path(str(row.path)).suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(str(row.path))
    for label in table["label"].unique():  # the same classes everywhere
        for split in SHARES:
            (folder / split / str(label)).mkdir(parents=True, exist_ok=True)


def run_training(
    name: str, folder: Path, epochs: float, seed: int, settings: str = ""
) -> dict[str, float] | None:
    """Return the figures of one training, or None, with its last words, if it did not run.

    Args:
        name: a key of `TRAININGS`.
        folder: the images by split and class.
        epochs: epochs of the training.
        seed: its seed.
        settings: further settings of the product's `train`, as YAML in one line.
    """
    python = sys.executable if name == "nightshift" else PYTHON
    command = [python, "-m", "tests.bench.train.peer_trainings", name, str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, str(epochs), str(seed), *filter(None, [settings])],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"{name} did not run: {(done.stderr.strip().splitlines() or ['?'])[-1]}", flush=True)
        return None
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def compare_trainings(name: str, image_count: int, seeds: range) -> list[dict[str, object]]:
    """Return one row a framework."""
    rows: list[dict[str, object]] = []
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / name
        link_images(name, image_count, folder)
        budget = 0.0
        for framework in TRAININGS:
            epochs = 8.0
            if framework != "nightshift":
                short, long = (run_training(framework, folder, count, 0) for count in (1, 2))
                if short is None or long is None:
                    continue
                step = max(long["cpu"] - short["cpu"], 1e-3)
                epochs = max(1, 1 + round((budget - short["cpu"]) / step))
            runs = [run_training(framework, folder, epochs, seed) for seed in seeds]
            table = pd.DataFrame([run for run in runs if run])
            if table.empty:
                continue
            print(name, framework, epochs, table.to_dict("list"), flush=True)
            if framework == "nightshift":
                budget = float(table["cpu"].mean())
            lowest, highest = table["accuracy"].min(), table["accuracy"].max()
            rows.append(
                {
                    "images": name,
                    "training": framework,
                    "epochs": int(epochs),
                    "accuracy": f"{table['accuracy'].mean():.1%} ({lowest:.1%} to {highest:.1%})",
                    "CPU minutes": f"{table['cpu'].mean() / 60:.2f}",
                    "peak memory, MB": f"{table['peak'].max():,.0f}",
                }
            )
    return rows


def main() -> None:
    """Compare the trainings and write the section of the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", choices=["flowers", "gtsrb"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--results", type=Path, default=RESULTS_FILE)
    options = parser.parse_args()
    rows = []
    for name in options.data or ["flowers", "gtsrb"]:
        rows += compare_trainings(name, options.images, range(options.seeds))
    text = (
        f"{time.strftime('%Y-%m-%d')}, {options.images:,} training images at 64 px, one thread, "
        f"{options.seeds} seeds, each with its defaults (timm-fine-tuning: "
        "its author's advice) and about the CPU time of the first; "
        "accuracy on test by whole groups, with the lowest and the highest seed. fastai, timm and "
        "this project start from the packaged weights, Ultralytics (yolo11n-cls) from scratch: it "
        "takes no other network, and its own weights are not to be had offline.\n\n"
    )
    title = "`bench_peers.py`: the default training beside those of others"
    write_section(options.results, title, text + format_table(rows))


if __name__ == "__main__":
    main()
