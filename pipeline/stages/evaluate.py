"""Logits and metrics on val, frozen features of every photo but the test's, and labels that look wrong."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import softmax

from pipeline.config import Settings
from pipeline.contracts import Context, Made
from pipeline.evidence import review
from pipeline.evidence.costs import cost_matrix
from pipeline.evidence.scores import BINS, scores

CHUNK = 2048  # photos held in memory at once
ISSUES = {"image_id": "str", "label": "str", "suggested": "str", "confidence": "float64", "kind": "str", "split": "str"}


class Config(Settings):
    """Settings of the evaluation."""

    batch: int = Field(64, ge=1, description="photos the model looks at together")
    costs: dict[str, dict[str, Annotated[float, Field(ge=0, le=1)]]] = Field(
        {}, description="label: {answer: cost}, as a share of the worst error; what is not named costs 1"
    )
    check_labels: bool = Field(True, description="look for wrong labels")
    suspicion: float = Field(0.8, gt=0.5, lt=1, description="probability of another class that makes a label suspected")
    label_photos: int = Field(4000, ge=100, description="most photos that a label-checking head learns from")


def predictions_of(
    ids: pd.Series, truth: NDArray[np.int64], answers: NDArray[np.float32], names: list[str], temperature: float
) -> pd.DataFrame:
    """The `predictions` artifact: confidence after temperature, margin = true logit less the best other."""
    order, name = np.arange(len(truth)), np.array(names, dtype=object)
    others = answers.copy()
    others[order, truth] = -np.inf
    best = answers.argmax(1)
    table = {
        "image_id": ids.to_numpy(),
        "label": pd.Series(name[truth], dtype="str"),
        "predicted": pd.Series(name[best], dtype="str"),
        "correct": best == truth,
        "confidence": softmax(answers.astype(np.float64) / temperature, axis=1).max(1, initial=0.0),
        "margin": (answers[order, truth] - others.max(1)).astype(np.float64),
    }
    return pd.DataFrame(table | {f"logit_{k}": answers[:, k] for k in range(len(names))})


def reliability(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> list[dict[str, float | int]]:
    """Bins that hold photos, of 15 equal ones of confidence: low, high, n, mean confidence, accuracy."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        {
            "low": k / BINS,
            "high": (k + 1) / BINS,
            "n": int((bins == k).sum()),
            "confidence": float(confidence[bins == k].mean()),
            "accuracy": float(correct[bins == k].mean()),
        }
        for k in np.unique(bins).tolist()
    ]


def frozen(
    pixels: NDArray[np.uint8], rows: NDArray[np.intp], context: Context
) -> tuple[NDArray[np.float32], NDArray[np.float16]]:
    """(embeddings float32 [images, features], NaN but for `rows`; layout float16 [images, D], NaN but for `rows`).

    Both are files in the scratch folder, memory-mapped: a chunk of them is in memory at a time. Of ranks that are
    together the first one writes, and all read its files.
    """
    from pipeline.learning import ranks
    from pipeline.learning.predict import FEATURES, LAYOUT, features_and_layout

    wanted = np.zeros(len(pixels), bool)
    wanted[rows] = True
    kinds = {"embeddings": (np.float32, FEATURES), "layout": (np.float16, LAYOUT)}
    folder = Path(ranks.from_first(str(context.scratch.absolute())))
    files = {name: folder / f"{name}.npy" for name in kinds}
    for name, (dtype, width) in kinds.items() if ranks.first() else ():
        np.lib.format.open_memmap(files[name], "w+", dtype, (len(pixels), width))
    starts = range(0, len(pixels), CHUNK)
    for start in context.track(starts, total=len(starts), what=f"times {CHUNK} photos"):
        here = wanted[start : start + CHUNK]
        made = features_and_layout(np.asarray(pixels[start : start + CHUNK][here]))
        for (name, (dtype, width)), some in zip(kinds.items(), made, strict=True) if ranks.first() else ():
            values = np.full((len(here), width), np.nan, dtype)
            values[here] = some
            np.lib.format.open_memmap(files[name], "r+")[start : start + CHUNK] = values  # closed again: unmapped
    ranks.meet()  # all is written
    embeddings, layout = (np.load(file, mmap_mode="r") for file in files.values())
    ranks.meet()  # all have opened what the first one will move into its place
    return embeddings, layout


def conflicts(duplicates: pd.DataFrame, images: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame:
    """Photos outside test whose very bytes have another label too: rows of `label_issues`, each photo once."""
    pairs = duplicates.loc[(duplicates["kind"] == "exact") & ~duplicates["same_label"], ["image_id", "other_id"]]
    both = pd.concat([pairs, pairs.set_axis(["other_id", "image_id"], axis=1)], ignore_index=True)
    label, split = images.set_index("image_id")["label"], splits.set_index("image_id")["split"]
    table = both.assign(
        label=both["image_id"].map(label),
        suggested=both["other_id"].map(label),
        split=both["image_id"].map(split),
        confidence=1.0,
        kind="conflict",
    ).dropna(subset=["label", "suggested"])
    table = table[(table["label"] != table["suggested"]) & (table["split"] != "test")]
    return table.drop_duplicates("image_id")[list(ISSUES)]


def reviewed(reviews: dict[str, review.LabelReview], images: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame:
    """Photos outside test whose label a reviewer held to be wrong: rows of `label_issues`; suggested may be ""."""
    wrong = {i: r.suggested for i, r in reviews.items() if r.decision == "wrong"}
    known = images["image_id"].isin(wrong).to_numpy() & images["label"].notna().to_numpy()
    table = images.loc[known & (splits["split"] != "test").to_numpy(), ["image_id", "label"]]
    split = splits.set_index("image_id")["split"]
    return table.assign(
        suggested=table["image_id"].map(wrong),
        confidence=1.0,
        kind="reviewed",
        split=table["image_id"].map(split),
    )


def _kept(reviews: dict[str, review.LabelReview], issues: pd.DataFrame) -> pd.DataFrame:
    """`issues` without the photos that a reviewer has judged: the reviewer's word stands."""
    judged = [i for i, r in reviews.items() if r.decision]
    return issues[~issues["image_id"].isin(judged)]


def fingerprint(config: Config, run: Path, before: str | None) -> str:
    """What this stage takes from outside the run: reviewers' decisions on labels. Part of the stage's key.

    A run takes them once (`before`): what is decided later is for the next run, and does not start this one anew.
    """
    return review.digest(run.parent, "labels") if before is None else before


def suspected_labels(
    config: Config,
    context: Context,
    images: pd.DataFrame,
    splits: pd.DataFrame,
    layout: NDArray[np.float16],
    truth: NDArray[np.int64],
) -> pd.DataFrame:
    """Labels outside test that heads on frozen features, which never saw the photo's group, hold to be wrong."""
    from pipeline.learning.batches import Part
    from pipeline.learning.labels import judgeable, out_of_fold, suspected

    rows = np.flatnonzero((truth >= 0) & (splits["split"] != "test").to_numpy())
    groups = images["group"].to_numpy(dtype=str)[rows]
    if not judgeable(truth[rows], groups):
        context.note("too few groups to look for wrong labels")
        return pd.DataFrame(columns=list(ISSUES))
    _, labels = np.unique(truth[rows], return_inverse=True)
    if len(rows) > config.label_photos:
        context.note(f"label heads learnt from about {config.label_photos} of {len(rows)} photos, evenly by group")
    seen = Part(layout, rows)
    odds = out_of_fold(seen, labels, groups, most=config.label_photos, seed=context.seed, track=context.track)
    found = suspected(odds, labels, groups, config.suspicion)
    at = rows[found["position"].to_numpy(np.intp)]
    names = images["label"].iloc[rows].groupby(labels).first()
    return pd.DataFrame(
        {
            "image_id": images["image_id"].to_numpy()[at],
            "label": images["label"].to_numpy()[at],
            "suggested": names.loc[found["suggested"]].to_numpy(),
            "confidence": found["confidence"],
            "kind": "suspected",
            "split": splits["split"].to_numpy()[at],
        }
    )


def foresee(config: Config, names: list[str]) -> None:
    """Raises `InputError` for costs of classes that are not there, as soon as the classes are known."""
    cost_matrix(config.costs, names, "evaluate.costs")


def run(
    config: Config,
    context: Context,
    *,
    images: pd.DataFrame,
    pixels: NDArray[np.uint8],
    classes: dict[str, list[str]],
    splits: pd.DataFrame,
    duplicates: pd.DataFrame,
    model: Path,
) -> Made:
    """Ask the model about the labelled photos of val; look for wrong labels everywhere but in test.

    Makes `predictions`, `embeddings` (frozen packaged weights), `metrics` (see `evidence.scores`, with the bins of the
    reliability diagram, and the cost of each error) and `label_issues`. Raises `InputError` for costs of classes that
    are not there.
    """
    from pipeline.learning.backbone import load_model
    from pipeline.learning.batches import Part
    from pipeline.learning.holdout import class_indices
    from pipeline.learning.predict import logits

    names = list(classes["names"])
    network, meta = load_model(Path(model))
    truth, temperature = class_indices(images, names), float(meta.get("temperature") or 1.0)
    val = np.flatnonzero((splits["split"] == "val").to_numpy() & (truth >= 0))
    answers = logits(network, Part(pixels, val), meta, config.batch, context.track)
    table = predictions_of(images["image_id"].iloc[val], truth[val], answers, names, temperature)
    metrics: dict[str, Any] = scores(answers, truth[val], images["group"].to_numpy(dtype=str)[val], names, temperature)
    metrics["costs"] = cost_matrix(config.costs, names, "evaluate.costs")
    metrics["calibration"]["bins"] = reliability(table["confidence"].to_numpy(), table["correct"].to_numpy())
    embeddings, layout = frozen(pixels, np.flatnonzero((splits["split"] != "test").to_numpy()), context)
    issues = [conflicts(duplicates, images, splits)]
    if config.check_labels:
        issues.append(suspected_labels(config, context, images, splits, layout, truth))
    reviews = review.read(context.home).labels
    found = pd.concat([*map(partial(_kept, reviews), issues), reviewed(reviews, images, splits)], ignore_index=True)
    return {"predictions": table, "embeddings": embeddings, "metrics": metrics, "label_issues": found.astype(ISSUES)}
