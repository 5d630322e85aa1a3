"""Labeling unlabeled images that look like the failures, against as many random ones.

    python -m tests.bench.remedies.look_alikes [--settings 20] [--labeled 30]

Grocery Store with its coarse classes. One fine class is hidden: its training images are unlabeled,
beside a third of the official test images. Another third is validation: the misclassified images of
the coarse class are the failures, since nobody knows fine classes there. A linear head on frozen
features of the packaged network at 224 px is trained again with the images that were labeled. The
last third judges it on the hidden class. NIGHTSHIFT_GROCERY names the unpacked folder.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from pipeline.contracts import iterate_silently
from pipeline.data.reading.image_record import ImageRecord
from pipeline.data.reading.image_sources import build_file_source
from pipeline.data.unlabeled_images import read_unlabeled_images
from pipeline.learning.inference.model_outputs import extract_features
from pipeline.slices.prescription.look_alikes import SliceExamples
from tests.bench.results_file import format_table, write_section
from tests.bench.slices.result_sections import RESULTS_FILE
from tests.conftest import ROOT

SIDE = 224
MIN_TRAINING_IMAGES, MIN_JUDGED_IMAGES = 15, 8
"""Images of a hidden class, at least, that can be found and that judge it."""
Rows = NDArray[np.intp]


def load_grocery(folder: Path, cache: Path) -> tuple[pd.DataFrame, NDArray[np.float32]]:
    """Return the table of images, and their frozen features, which are computed once."""
    table = pd.read_csv(folder / "metadata.csv", dtype=str)
    file = cache / "grocery_features.npy"
    if not file.exists():
        records = []
        for name in table["file_name"]:
            source = build_file_source(str((folder / str(name)).absolute()))
            records.append(ImageRecord(source, str(name), None))
        chunks = read_unlabeled_images(records, SIDE, iterate_silently)
        features = np.concatenate([extract_features(chunk.pixels) for chunk in chunks])
        cache.mkdir(parents=True, exist_ok=True)
        np.save(file, features)
    return table, StandardScaler().fit_transform(np.load(file)).astype(np.float32)


def list_hidden_classes(table: pd.DataFrame, count: int) -> list[str]:
    """Return fine classes with enough images whose coarse class has others, in a drawn order."""
    trained = table[table["split"] == "train"]["label"].value_counts()
    tested = table[table["split"] == "test"]["label"].value_counts()
    siblings = (
        table.groupby("label")["coarse"].first().map(table.groupby("coarse")["label"].nunique())
    )
    hidden = []
    for label in np.random.default_rng(0).permutation(table["label"].unique()):
        is_large = trained.get(label, 0) >= MIN_TRAINING_IMAGES
        if is_large and tested.get(label, 0) >= 3 * MIN_JUDGED_IMAGES and siblings[label] > 1:
            hidden.append(str(label))
    return hidden[:count]


def measure_setting(
    table: pd.DataFrame, features: NDArray[np.float32], hidden: str, labeled_count: int
) -> dict[str, object]:
    """Return the accuracy on the hidden class before and after, and by random labels."""
    rng = np.random.default_rng(1)
    is_hidden = (table["label"] == hidden).to_numpy()
    coarse = table["coarse"].to_numpy()
    is_train = (table["split"] == "train").to_numpy() & ~is_hidden
    third = rng.integers(0, 3, len(table))
    is_test = (table["split"] == "test").to_numpy()
    is_val, is_judged = is_test & (third == 0), is_test & (third == 1) & is_hidden
    is_unlabeled = (is_test & (third == 2)) | ((table["split"] == "train").to_numpy() & is_hidden)

    def fit_and_predict(rows: Rows) -> NDArray[np.object_]:
        head = LogisticRegression(C=0.01, max_iter=300).fit(features[rows], coarse[rows])
        predicted: NDArray[np.object_] = head.predict(features)
        return predicted

    trained = np.flatnonzero(is_train)
    before = fit_and_predict(trained)
    name = coarse[is_hidden][0]
    is_failure = is_val & (coarse == name) & (before != coarse)
    examples = SliceExamples(features[is_failure], features[(is_train | is_val) & ~is_failure])
    unlabeled = np.flatnonzero(is_unlabeled)
    alike = unlabeled[np.argsort(-examples.score_images(features[unlabeled]))[:labeled_count]]
    random = rng.choice(unlabeled, labeled_count, replace=False)

    def judge(predicted: NDArray[np.object_]) -> float:
        return float((predicted == coarse)[is_judged].mean())

    return {
        "hidden": hidden,
        "failures": int(is_failure.sum()),
        "judged": int(is_judged.sum()),
        "before": judge(before),
        "look-alikes": judge(fit_and_predict(np.concatenate([trained, alike]))),
        "random": judge(fit_and_predict(np.concatenate([trained, random]))),
        "hidden among look-alikes": float(is_hidden[alike].mean()),
        "among random": float(is_hidden[random].mean()),
    }


def main() -> None:
    """Measure every setting and write the section of the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=int, default=20)
    parser.add_argument("--labeled", type=int, default=30)
    parser.add_argument("--results", type=Path, default=RESULTS_FILE)
    options = parser.parse_args()
    folder = Path(os.environ.get("NIGHTSHIFT_GROCERY", ROOT / "data" / "grocery"))
    cache = Path(os.environ.get("NIGHTSHIFT_BENCH", ROOT / "data" / "bench-slices"))
    table, features = load_grocery(folder, cache)
    rows = []
    for hidden in list_hidden_classes(table, options.settings):
        rows.append(measure_setting(table, features, hidden, options.labeled))
        print(rows[-1], flush=True)
    measured = pd.DataFrame(rows)
    shares = ["before", "look-alikes", "random", "hidden among look-alikes", "among random"]
    means = measured[shares].mean()
    summary = ", ".join(f"{share} {means[share]:.1%}" for share in shares)
    gain = measured["look-alikes"] - measured["before"]
    over_random = measured["look-alikes"] - measured["random"]
    errors = [2 * item.std(ddof=1) / np.sqrt(len(item)) for item in (gain, over_random)]
    for share in shares:
        measured[share] = measured[share].map("{:.0%}".format)
    text = (
        f"{time.strftime('%Y-%m-%d')}, {len(rows)} hidden fine classes of Grocery, "
        f"{options.labeled} images labeled, accuracy on the hidden class in its coarse class. "
        f"Mean: {summary}. Look-alikes add {gain.mean():+.1%} (+- {errors[0]:.1%}, two standard "
        f"errors over settings), {over_random.mean():+.1%} (+- {errors[1]:.1%}) more than random "
        "ones. Images of one shelf may be on both sides: Grocery names no groups.\n\n"
    )
    write_section(
        options.results,
        "Look-alikes of a hidden sub-class",
        text + format_table(measured.to_dict("records")),
    )


if __name__ == "__main__":
    main()
