"""The oracle of the day-trained protocol: what real dark images would have brought, measured on the sealed test.

Oracle: the same start, passes and schedule as the arms of a finished run, with its left-out dark training images added.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import load_model
from pipeline.learning.training.holdout_split import (
    find_class_indices,
    select_training_images,
    split_holdout,
)
from pipeline.learning.training.training_loop import fit_network
from pipeline.stages import retrain
from pipeline.storage.artifact_store import RunFolder, read_json

DARK, VERY_DARK, LIT = 40, 20, 70


def oracle_images(run: RunFolder, photos: TrainingImages) -> TrainingImages:
    """The arms' photos, and the dark training photos that the run left out."""
    images, names = run.load_artifact("images"), run.load_artifact("classes")["names"]
    out = (run.load_artifact("splits")["split"] == "left_out").to_numpy()
    dark = (run.load_artifact("attributes")["luminance"] < DARK).to_numpy()
    index = find_class_indices(images, names)
    more = np.flatnonzero(out & dark & (index >= 0))
    return TrainingImages(
        photos.pixels,
        np.concatenate([photos.image_rows, more]),
        np.concatenate([photos.labels, index[more]]),
    )


def train_oracle(run: RunFolder, settings: retrain.Config, seed: int, scratch: Path) -> Any:
    """The oracle's model."""
    images, names = run.load_artifact("images"), run.load_artifact("classes")["names"]
    photos = select_training_images(
        images, run.load_artifact("splits"), run.load_artifact("pixels"), names
    )
    known = run.load_artifact("training").get("holdout") or {"share": 0.1, "seed": 0}
    rest, _ = split_holdout(
        photos,
        images["group"].to_numpy(dtype=str)[photos.image_rows],
        known["share"],
        known["seed"],
    )
    passes = read_json(run.get_artifact_path("candidates") / "candidates.json")[0]["passes"]
    model, meta = load_model(run.get_artifact_path("model"))
    same = settings.model_copy(update={"passes": passes})
    return fit_network(
        model, meta, oracle_images(run, rest), same, seed=seed, scratch_folder=scratch
    ).model, meta


def _tables(run: RunFolder, settings: retrain.Config, scratch: Path) -> pd.DataFrame:
    """One row for each test image.

    Track, luminance, and the share of each arm's seeds that read it right.
    """
    images, names, splits = (
        run.load_artifact("images"),
        run.load_artifact("classes")["names"],
        run.load_artifact("splits"),
    )
    truth = find_class_indices(images, names)
    test = np.flatnonzero((splits["split"] == "test").to_numpy() & (truth >= 0))
    pixels = np.asarray(run.load_artifact("pixels")[test])

    def right(loaded: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
        model, meta = loaded
        return np.asarray(compute_logits(model, pixels, meta).argmax(1) == truth[test])

    entries = read_json(run.get_artifact_path("candidates") / "candidates.json")
    seeds = sorted({e["seed"] for e in entries})
    shares = {"before": right(load_model(run.get_artifact_path("model")))}
    for arm in ("control", "targeted"):
        files = [e["file"] for e in entries if e["arm"] == arm]
        shares[arm] = np.mean(
            [right(load_model(run.get_artifact_path("candidates"), file)) for file in files], axis=0
        )
    oracles = [right(train_oracle(run, settings, seed, scratch / str(seed))) for seed in seeds]
    shares["oracle"] = np.mean(oracles, axis=0)
    light = run.load_artifact("attributes")["luminance"].to_numpy()[test]
    return pd.DataFrame({"track": images["group"].to_numpy()[test], "luminance": light, **shares})


def _closure(table: pd.DataFrame) -> float:
    gain = table[["targeted", "oracle"]].mean() - table["control"].mean()
    return float(gain["targeted"] / gain["oracle"]) if gain["oracle"] else float("nan")


def measure(run: RunFolder, settings: retrain.Config, scratch: Path) -> dict[str, Any]:
    """Accuracy by light and model on the sealed test, and the closure with its interval by track."""
    table = _tables(run, settings, scratch)
    parts = {
        "all": table,
        "lit": table[table["luminance"] >= LIT],
        "dark": table[table["luminance"] < DARK],
        "very dark": table[table["luminance"] < VERY_DARK],
    }
    names = ["before", "control", "targeted", "oracle"]
    rows = {
        k: {n: round(float(t[n].mean()), 4) for n in names}
        | {"n": len(t), "tracks": t["track"].nunique()}
        for k, t in parts.items()
    }
    dark = parts["dark"]
    sums = dark.groupby("track")[names].sum().assign(n=dark.groupby("track").size())

    def closure_of(picked: pd.DataFrame) -> float:
        share = picked[names].sum() / picked["n"].sum()
        gain = share["oracle"] - share["control"]
        return float((share["targeted"] - share["control"]) / gain) if gain else float("nan")

    rng = np.random.default_rng(0)
    drawn = [closure_of(sums.iloc[rng.integers(0, len(sums), len(sums))]) for _ in range(4000)]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return {"rows": rows, "closure": _closure(dark), "low": float(low), "high": float(high)}
