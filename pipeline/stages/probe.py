"""Intervenes on photos of val and asks the model again: what repairs a failure, what makes one, what does nothing."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import log_softmax

from pipeline.config import Settings
from pipeline.contracts import Context, Made
from pipeline.evidence.intervals import cluster_mean
from pipeline.learning.backbone import load_model
from pipeline.learning.predict import logits
from pipeline.learning.ranks import shared as share
from pipeline.remedies import interventions, treat
from pipeline.slicing.marks import marks_of
from pipeline.slicing.shortcuts import Scene, shortcuts, too_few

CHUNK = 1024  # photos treated at a time, which bounds the memory

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Ask = Callable[[Pixels], Floats]


class Config(Settings):
    """Settings of the interventions."""

    max_images: int = Field(2000, ge=1, description="most photos of val that are tried, sampled evenly by group")
    batch: int = Field(64, ge=1, description="photos the model looks at together")
    shortcuts: bool = Field(True, description="look for captions, logos and borders that the model leans on")
    shortcut_images: int = Field(40, ge=1, description="most photos of a class, a fold, in which they are covered")
    shortcut_asks: int = Field(100_000, ge=1, description="altered photos that this asks the model about, at most")
    shortcut_grid: int = Field(4, ge=2, le=16, description="patches along a side that are covered one by one")


def run(
    config: Config,
    context: Context,
    *,
    images: pd.DataFrame,
    pixels: Pixels,
    classes: dict[str, Any],
    splits: pd.DataFrame,
    model: Path,
    predictions: pd.DataFrame,
) -> Made:
    """Try every remedy at every dose on each probed photo.

    Makes `probed` (the sample with its weights), `signatures` float32 [probed, interventions] (log-probability of
    the true class after less before, natural logarithm, no temperature), `responses` int16 of that shape (class
    index answered), `shortcuts` (`pipeline.slicing.shortcuts`), `marks` (which photos bear those that are confirmed),
    and `dose_response` (weighted accuracy with a 95 % interval by group; repaired share of the wrong, broken share of
    the right photos). The sample never looks at what the model answered.
    """
    network, meta = load_model(model)

    def ask(photos: Pixels) -> Floats:
        return np.asarray(logits(network, photos, meta, batch=config.batch), dtype=np.float32)

    frame = frame_of(images, splits, predictions, list(classes["names"]))
    made = intervene(config, context, frame, pixels, ask)
    made |= leaning(config, context, frame, pixels, (ask, classes["names"]))
    return made | {"marks": _marks(context, images, pixels, splits, made["shortcuts"], list(classes["names"]))}


def intervene(config: Config, context: Context, frame: pd.DataFrame, pixels: Pixels, ask: Ask) -> Made:
    """The same for the photos of `frame` (row in `pixels`, group, truth, image_id, logits) and any model to `ask`."""
    chosen = _sample(frame["group"], config.max_images, np.random.default_rng(context.seed))
    sample = frame.loc[chosen.index].assign(weight=chosen)
    if sample.empty:
        context.note("val holds no labelled photo, so no intervention was tried")
    truth = sample["truth"].to_numpy(np.int64)
    before = sample.filter(regex=r"^logit_\d+$").to_numpy(np.float32)
    was_right = before.argmax(axis=1) == truth

    def tried(item: tuple[str, float]) -> tuple[Floats, NDArray[np.int16], dict[str, Any]]:
        after = _answers(ask, pixels, sample["row"].to_numpy(), item, context.seed, before.shape[1])
        answered = after.argmax(axis=1).astype(np.int16)
        judged = {"remedy": item[0], "dose": item[1]} | _judge(answered == truth, was_right, sample)
        return _log_true(after, truth) - _log_true(before, truth), answered, judged

    columns = share(tried, interventions(), context.track, what="interventions")
    return {
        "probed": sample[["image_id", "weight"]].reset_index(drop=True),
        "signatures": np.stack([column[0] for column in columns], axis=1),
        "responses": np.stack([column[1] for column in columns], axis=1),
        "dose_response": pd.DataFrame([column[2] for column in columns]),
    }


def leaning(
    config: Config, context: Context, frame: pd.DataFrame, pixels: Pixels, model: tuple[Ask, list[str]]
) -> Made:
    """`shortcuts`: the marks on which the model (to ask, and its classes) leans, for the photos of `frame`."""
    ask, names = model
    kept = frame if config.shortcuts else frame.iloc[:0]
    truth, fold = kept["truth"].to_numpy(np.intp), kept["fold"].to_numpy(np.intp)
    scene = Scene(pixels, kept["row"].to_numpy(np.intp), truth, kept["group"].to_numpy(str), fold)
    most, grid, asks = config.shortcut_images, config.shortcut_grid, config.shortcut_asks
    table = shortcuts(scene, names, lambda p: ask(p).argmax(axis=1), grid=grid, most=most, asks=asks, seed=context.seed)
    if few := too_few(scene, names):
        context.note(f"marks to lean on were not looked for in {len(few)} classes of too few groups, such as {few[0]}")
    for label in table.loc[table["status"] == "confirmed", "label"]:
        context.note(f"the model leans on a mark that photos of {label} share (see the shortcuts)")
    return {"shortcuts": table}


def _marks(
    context: Context,
    images: pd.DataFrame,
    pixels: Pixels,
    splits: pd.DataFrame,
    shortcuts: pd.DataFrame,
    names: list[str],
) -> pd.DataFrame:
    """Which photos of all bear the marks of the confirmed shortcuts, as training photos show them."""
    train = (splits["split"] == "train").to_numpy() & images["label"].isin(names).to_numpy()
    rows = np.flatnonzero(train)
    truth = pd.Index(names).get_indexer(pd.Index(images["label"].iloc[rows]))
    scene = Scene(pixels, rows, truth, images["group"].to_numpy(str)[rows], np.zeros(len(rows), np.intp))
    labels = shortcuts.loc[shortcuts["status"] == "confirmed", "label"]
    return marks_of(scene, names, labels, images["image_id"], context.seed)


def frame_of(images: pd.DataFrame, splits: pd.DataFrame, predictions: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The labelled photos of val in the order of `images`: row in `pixels`, group, truth (class index), logits."""
    known = images[["image_id", "group"]].assign(row=np.arange(len(images)))
    val = splits.loc[splits["split"] == "val", ["image_id", "fold"]]
    frame = known.merge(val, on="image_id").merge(predictions, on="image_id")
    frame["truth"] = [names.index(label) if label in names else -1 for label in frame["label"]]
    return frame[frame["truth"] >= 0].sort_values("row", ignore_index=True)


def _sample(groups: pd.Series[str], most: int, random: np.random.Generator) -> pd.Series[float]:
    """Weights of at most `most` rows, by index in order: an equal cap a group, random within it.

    A weight is how many rows a sampled one stands for. With more groups than `most`, groups are drawn at random.
    """
    sizes = groups.value_counts(sort=False)
    drawn = sizes.iloc[np.sort(random.permutation(len(sizes))[:most])]
    cap = _cap(drawn.to_numpy(), most)
    order = groups.iloc[random.permutation(len(groups))]
    taken = order[order.isin(drawn.index) & (order.groupby(order).cumcount() < cap)].sort_index()
    weight = taken.map(sizes / sizes.clip(upper=cap)).astype(np.float64)
    return weight * (len(sizes) / max(len(drawn), 1))


def _cap(sizes: NDArray[np.integer], most: int) -> int:
    """The largest cap for which the capped sizes add up to at most `most` (at least 1)."""
    low, high = 1, max(int(sizes.max(initial=1)), 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(sizes, middle).sum() <= most else (low, middle - 1)
    return low


def _answers(
    ask: Ask, pixels: Pixels, rows: NDArray[np.int64], intervention: tuple[str, float], seed: int, classes: int
) -> Floats:
    """Logits float32 [rows, classes] after the intervention; drawn anew for each intervention, whatever ran before."""
    name, dose = intervention
    parts = [np.zeros((0, classes), np.float32)]
    for start in range(0, len(rows), CHUNK):
        photos = np.asarray(pixels[rows[start : start + CHUNK]])
        parts.append(ask(treat(name, photos, dose, dose, seed=zlib.crc32(f"{seed} {name} {dose} {start}".encode()))))
    return np.concatenate(parts)


def _log_true(scores: Floats, truth: NDArray[np.int64]) -> Floats:
    """Log-probability of the true class, float32 [N]."""
    return np.asarray(log_softmax(scores, axis=1)[np.arange(len(truth)), truth], dtype=np.float32)


def _judge(right: NDArray[np.bool_], was_right: NDArray[np.bool_], sample: pd.DataFrame) -> dict[str, float]:
    weight = sample["weight"].to_numpy()
    if not len(sample):
        return {"accuracy": 0.0, "low": 0.0, "high": 1.0, "repairs": 0.0, "breaks": 0.0}
    interval = cluster_mean(right, sample["group"].to_numpy(), alpha=0.05, weights=weight)
    return {
        "accuracy": interval.value,
        "low": interval.low,
        "high": interval.high,
        "repairs": _share(right, ~was_right, weight),
        "breaks": _share(~right, was_right, weight),
    }


def _share(hit: NDArray[np.bool_], among: NDArray[np.bool_], weight: NDArray[np.float64]) -> float:
    """Weighted share of `hit` among `among`; 0 where there are none."""
    total = float(weight[among].sum())
    return float(weight[hit & among].sum()) / total if total > 0 else 0.0
