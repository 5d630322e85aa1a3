"""The oracle of the day-trained protocol: what real dark images would gain on the sealed test set.

It has the start, passes and schedule of the arms of a finished run, and trains on the left-out dark
training images too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import load_model
from pipeline.learning.training.holdout_split import (
    find_class_indices,
    select_training_images,
    split_holdout,
)
from pipeline.learning.training.training_loop import fit_network
from pipeline.learning.training_settings import FitSettings, LoopSettings
from pipeline.stages import retrain
from pipeline.storage.artifact_store import RunFolder, read_json

# Mean luminance: an image is dark below the first, very dark below the second, lit from the third.
DARK_LUMINANCE, VERY_DARK_LUMINANCE, LIT_LUMINANCE = 40, 20, 70
BOOTSTRAP_DRAWS = 4000
MODELS = ["before", "control", "targeted", "oracle"]


def _load_class_names(run: RunFolder) -> list[str]:
    return list(run.load_artifact("classes")["names"])


def _load_candidates(run: RunFolder) -> list[dict[str, Any]]:
    entries = read_json(run.get_artifact_path("candidates") / "candidates.json")
    return [dict(entry) for entry in entries]


def add_dark_images(run: RunFolder, training_images: TrainingImages) -> TrainingImages:
    """Return the arms' images, and the dark training images that the run left out."""
    labels = find_class_indices(run.load_artifact("images"), _load_class_names(run))
    is_left_out = (run.load_artifact("splits")["split"] == "left_out").to_numpy()
    is_dark = (run.load_artifact("attributes")["luminance"] < DARK_LUMINANCE).to_numpy()
    rows = np.flatnonzero(is_left_out & is_dark & (labels >= 0))
    return TrainingImages(
        training_images.pixels,
        np.concatenate([training_images.image_rows, rows]),
        np.concatenate([training_images.labels, labels[rows]]),
    )


def train_oracle(run: RunFolder, settings: retrain.Config, seed: int, scratch: Path) -> Any:
    """Return the oracle's network and its metadata.

    Args:
        run: a finished run.
        settings: settings of its arms.
        seed: seed of the oracle.
        scratch: folder for checkpoints.
    """
    images = run.load_artifact("images")
    training_images = select_training_images(
        images, run.load_artifact("splits"), run.load_artifact("pixels"), _load_class_names(run)
    )
    groups = images["group"].to_numpy(dtype=str)[training_images.image_rows]
    training = run.load_artifact("training")
    holdout = training.get("holdout") or {"share": 0.1, "seed": 0}
    kept_images, _ = split_holdout(training_images, groups, holdout["share"], holdout["seed"])
    image_passes = _load_candidates(run)[0]["passes"]
    loop_settings = {name: getattr(settings, name) for name in LoopSettings.model_fields}
    loop_settings["image_passes"] = image_passes
    network, meta = load_model(run.get_artifact_path("model"))
    fitted = fit_network(
        network,
        meta,
        add_dark_images(run, kept_images),
        FitSettings(**training["augmentation"], **loop_settings),
        seed=seed,
        scratch_folder=scratch,
    )
    return fitted.model, meta


def _measure_test_images(run: RunFolder, settings: retrain.Config, scratch: Path) -> pd.DataFrame:
    """Return one row for each test image.

    Returns:
        Track, luminance, and for each model the share of its seeds that predict the image
        correctly.
    """
    images = run.load_artifact("images")
    labels = find_class_indices(images, _load_class_names(run))
    is_test = (run.load_artifact("splits")["split"] == "test").to_numpy()
    rows = np.flatnonzero(is_test & (labels >= 0))
    pixels = np.asarray(run.load_artifact("pixels")[rows])

    def compute_correctness(model: Any) -> NDArray[np.bool_]:
        network, meta = model
        return np.asarray(compute_logits(network, pixels, meta).argmax(1) == labels[rows])

    folder = run.get_artifact_path("candidates")
    candidates = _load_candidates(run)
    shares: dict[str, Any] = {
        "before": compute_correctness(load_model(run.get_artifact_path("model")))
    }
    for arm in ("control", "targeted"):
        files = [entry["file"] for entry in candidates if entry["arm"] == arm]
        correctness = [compute_correctness(load_model(folder, file)) for file in files]
        shares[arm] = np.mean(correctness, axis=0)
    oracles = []
    for seed in sorted({entry["seed"] for entry in candidates}):
        oracle = train_oracle(run, settings, seed, scratch / str(seed))
        oracles.append(compute_correctness(oracle))
    shares["oracle"] = np.mean(oracles, axis=0)
    luminance = run.load_artifact("attributes")["luminance"].to_numpy()[rows]
    tracks = images["group"].to_numpy()[rows]
    return pd.DataFrame({"track": tracks, "luminance": luminance, **shares})


def _compute_closure(accuracy: pd.Series[float]) -> float:
    """Return (targeted - control) / (oracle - control) of the accuracy by model."""
    oracle_gain = accuracy["oracle"] - accuracy["control"]
    if not oracle_gain:
        return float("nan")
    return float((accuracy["targeted"] - accuracy["control"]) / oracle_gain)


def _bootstrap_closure(table: pd.DataFrame) -> tuple[float, float]:
    """Return the 95 % interval of the closure by bootstrap of whole tracks."""
    by_track = table.groupby("track")
    sums = by_track[MODELS].sum()
    sizes = by_track.size()
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(BOOTSTRAP_DRAWS):
        drawn = rng.integers(0, len(sums), len(sums))
        draws.append(_compute_closure(sums.iloc[drawn].sum() / sizes.iloc[drawn].sum()))
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return float(low), float(high)


def measure_closure(run: RunFolder, settings: retrain.Config, scratch: Path) -> dict[str, Any]:
    """Return accuracy by luminance and model on the sealed test set, and the closure.

    Args:
        run: a finished run.
        settings: settings of its arms.
        scratch: folder for the training of the oracle.

    Returns:
        `rows` by subset: accuracy of each model, `n` and `tracks`. `closure` on dark images with
        its interval, `low` and `high`.
    """
    table = _measure_test_images(run, settings, scratch)
    subsets = {
        "all": table,
        "lit": table[table["luminance"] >= LIT_LUMINANCE],
        "dark": table[table["luminance"] < DARK_LUMINANCE],
        "very dark": table[table["luminance"] < VERY_DARK_LUMINANCE],
    }
    rows: dict[str, Any] = {}
    for name, subset in subsets.items():
        accuracy = {model: round(float(subset[model].mean()), 4) for model in MODELS}
        rows[name] = {**accuracy, "n": len(subset), "tracks": subset["track"].nunique()}
    dark = subsets["dark"]
    low, high = _bootstrap_closure(dark)
    closure = _compute_closure(dark[MODELS].mean())
    return {"rows": rows, "closure": closure, "low": low, "high": high}
