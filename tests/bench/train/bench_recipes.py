"""The default recipe, the bare one, and the default without each of its parts.

    python -m tests.bench.train.bench_recipes [--data grocery flowers gtsrb] [--seeds 1]

All train on the same images for the same number of passes; CPU time is printed beside the accuracy
on the test images. Grocery has its official split; NIGHTSHIFT_GROCERY names its unpacked folder.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from tests.bench.results_file import format_table, write_section
from tests.bench.train.bench_peers import RESULTS_FILE, link_images, run_training
from tests.conftest import ROOT

VARIANTS = {
    "standard": "",
    "bare": "recipe: bare",
    "without crops": "min_crop_area: 1.0",
    "without flips": "flip: false",
    "without color jitter": "color_jitter: 0.0",
    "without smaller training images": "training_side_share: 1.0",
}
"""Settings of `train` by variant."""


def link_grocery(folder: Path) -> None:
    """Link the images of Grocery Store under FOLDER/SPLIT/CLASS by its official split."""
    source = Path(os.environ.get("NIGHTSHIFT_GROCERY", ROOT / "data" / "grocery"))
    for row in pd.read_csv(source / "metadata.csv", dtype=str).itertuples():
        target = folder / str(row.split) / str(row.label) / Path(str(row.file_name)).name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source / str(row.file_name))


def compare_recipes(name: str, image_count: int, seeds: range) -> list[dict[str, object]]:
    """Return one row a variant."""
    rows: list[dict[str, object]] = []
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / name
        if name == "grocery":
            link_grocery(folder)
        else:
            link_images(name, image_count, folder)
        for variant, settings in VARIANTS.items():
            runs = [run_training("nightshift", folder, 8, seed, settings) for seed in seeds]
            table = pd.DataFrame([run for run in runs if run])
            print(name, variant, table.to_dict("list"), flush=True)
            if table.empty:
                continue
            rows.append(
                {
                    "images": name,
                    "recipe": variant,
                    "accuracy": f"{table['accuracy'].mean():.1%}",
                    "CPU minutes": f"{table['cpu'].mean() / 60:.2f}",
                }
            )
    return rows


def main() -> None:
    """Compare the recipes and write the section of the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = ["grocery", "flowers", "gtsrb"]
    parser.add_argument("--data", nargs="+", choices=names, default=names)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--results", type=Path, default=RESULTS_FILE)
    options = parser.parse_args()
    rows = []
    for name in options.data:
        rows += compare_recipes(name, options.images, range(options.seeds))
    text = (
        f"{time.strftime('%Y-%m-%d')}, 64 px, one thread, {options.seeds} seed(s), 8 epochs; "
        f"{options.images:,} training images of flowers and GTSRB, Grocery's official split; "
        "accuracy on test.\n\n"
    )
    title = "`bench_recipes.py`: what each part of the default recipe adds"
    write_section(options.results, title, text + format_table(rows))


if __name__ == "__main__":
    main()
