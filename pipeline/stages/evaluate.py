"""Logits and metrics on val, frozen features of every image but the test's, and labels that look wrong."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import softmax

from pipeline.config import StageSettings
from pipeline.contracts import StageContext, StageOutputs
from pipeline.domain.statuses import LabelIssueKind
from pipeline.statistics.classification_metrics import CALIBRATION_BIN_COUNT, score_logits
from pipeline.statistics.error_costs import build_cost_matrix
from pipeline.storage import review_decisions

IMAGES_PER_CHUNK = 2048  # images held in memory at once
LABEL_ISSUE_COLUMNS = {
    "image_id": "str",
    "label": "str",
    "suggested": "str",
    "confidence": "float64",
    "kind": "str",
    "split": "str",
}


class Config(StageSettings):
    """Settings of the evaluation."""

    batch_size: int = Field(64, ge=1, description="images the model looks at together")
    costs: dict[str, dict[str, Annotated[float, Field(ge=0, le=1)]]] = Field(
        {},
        description="label: {answer: cost}, as a share of the worst error; what is not named costs 1",
    )
    check_labels: bool = Field(True, description="look for wrong labels")
    label_issue_threshold: float = Field(
        0.8, gt=0.5, lt=1, description="probability of another class that makes a label suspected"
    )
    label_check_images: int = Field(
        4000, ge=100, description="most images that a label-checking head learns from"
    )


def build_predictions(
    image_ids: pd.Series,
    labels: NDArray[np.int64],
    logits: NDArray[np.float32],
    class_names: list[str],
    temperature: float,
) -> pd.DataFrame:
    """The `predictions` artifact: confidence after temperature, margin = true logit less the best other."""
    order, name = np.arange(len(labels)), np.array(class_names, dtype=object)
    others = logits.copy()
    others[order, labels] = -np.inf
    best = logits.argmax(1)
    table = {
        "image_id": image_ids.to_numpy(),
        "label": pd.Series(name[labels], dtype="str"),
        "predicted": pd.Series(name[best], dtype="str"),
        "correct": best == labels,
        "confidence": softmax(logits.astype(np.float64) / temperature, axis=1).max(1, initial=0.0),
        "margin": (logits[order, labels] - others.max(1)).astype(np.float64),
    }
    return pd.DataFrame(table | {f"logit_{k}": logits[:, k] for k in range(len(class_names))})


def compute_reliability_bins(
    confidence: NDArray[np.float64], is_correct: NDArray[np.bool_]
) -> list[dict[str, float | int]]:
    """Bins that hold images, of 15 equal ones of confidence: low, high, n, mean confidence, accuracy."""
    bins = np.minimum((confidence * CALIBRATION_BIN_COUNT).astype(int), CALIBRATION_BIN_COUNT - 1)
    return [
        {
            "low": k / CALIBRATION_BIN_COUNT,
            "high": (k + 1) / CALIBRATION_BIN_COUNT,
            "n": int((bins == k).sum()),
            "confidence": float(confidence[bins == k].mean()),
            "accuracy": float(is_correct[bins == k].mean()),
        }
        for k in np.unique(bins).tolist()
    ]


def compute_frozen_features(
    pixels: NDArray[np.uint8], rows: NDArray[np.intp], context: StageContext
) -> tuple[NDArray[np.float32], NDArray[np.float16]]:
    """(embeddings float32 [images, features], NaN but for `rows`; layout float16 [images, D], NaN but for `rows`).

    Both are files in the scratch folder, memory-mapped: a chunk of them is in memory at a time. Of ranks that are
    together the first one writes, and all read its files.
    """
    from pipeline.learning import distributed
    from pipeline.learning.inference.model_outputs import (
        FEATURE_COUNT,
        LAYOUT_FEATURE_COUNT,
        extract_features_and_layout,
    )

    wanted = np.zeros(len(pixels), bool)
    wanted[rows] = True
    kinds = {
        "embeddings": (np.float32, FEATURE_COUNT),
        "layout": (np.float16, LAYOUT_FEATURE_COUNT),
    }
    folder = Path(distributed.broadcast_from_first(str(context.scratch_folder.absolute())))
    files = {name: folder / f"{name}.npy" for name in kinds}
    for name, (dtype, width) in kinds.items() if distributed.is_first_rank() else ():
        np.lib.format.open_memmap(files[name], "w+", dtype, (len(pixels), width))
    starts = range(0, len(pixels), IMAGES_PER_CHUNK)
    for start in context.track_progress(
        starts, total=len(starts), unit=f"times {IMAGES_PER_CHUNK} images"
    ):
        here = wanted[start : start + IMAGES_PER_CHUNK]
        made = extract_features_and_layout(
            np.asarray(pixels[start : start + IMAGES_PER_CHUNK][here])
        )
        for (name, (dtype, width)), some in (
            zip(kinds.items(), made, strict=True) if distributed.is_first_rank() else ()
        ):
            values = np.full((len(here), width), np.nan, dtype)
            values[here] = some
            np.lib.format.open_memmap(files[name], "r+")[start : start + IMAGES_PER_CHUNK] = (
                values  # closed again: unmapped
            )
    distributed.wait_for_ranks()  # all is written
    embeddings, layout = (np.load(file, mmap_mode="r") for file in files.values())
    distributed.wait_for_ranks()  # all have opened what the first one will move into its place
    return embeddings, layout


def find_label_conflicts(
    duplicates: pd.DataFrame, images: pd.DataFrame, splits: pd.DataFrame
) -> pd.DataFrame:
    """Images outside test whose very bytes have another label too: rows of `label_issues`, each image once."""
    pairs = duplicates.loc[
        (duplicates["kind"] == "exact") & ~duplicates["same_label"], ["image_id", "other_id"]
    ]
    both = pd.concat([pairs, pairs.set_axis(["other_id", "image_id"], axis=1)], ignore_index=True)
    label, split = images.set_index("image_id")["label"], splits.set_index("image_id")["split"]
    table = both.assign(
        label=both["image_id"].map(label),
        suggested=both["other_id"].map(label),
        split=both["image_id"].map(split),
        confidence=1.0,
        kind=LabelIssueKind.CONFLICT,
    ).dropna(subset=["label", "suggested"])
    table = table[(table["label"] != table["suggested"]) & (table["split"] != "test")]
    return table.drop_duplicates("image_id")[list(LABEL_ISSUE_COLUMNS)]


def collect_reviewed_labels(
    reviews: dict[str, review_decisions.LabelReview], images: pd.DataFrame, splits: pd.DataFrame
) -> pd.DataFrame:
    """Images outside test whose label a reviewer held to be wrong: rows of `label_issues`; suggested may be ""."""
    wrong = {i: r.suggested for i, r in reviews.items() if r.decision == "wrong"}
    known = images["image_id"].isin(wrong).to_numpy() & images["label"].notna().to_numpy()
    table = images.loc[known & (splits["split"] != "test").to_numpy(), ["image_id", "label"]]
    split = splits.set_index("image_id")["split"]
    return table.assign(
        suggested=table["image_id"].map(wrong),
        confidence=1.0,
        kind=LabelIssueKind.REVIEWED,
        split=table["image_id"].map(split),
    )


def _drop_reviewed_issues(
    reviews: dict[str, review_decisions.LabelReview], issues: pd.DataFrame
) -> pd.DataFrame:
    """`issues` without the images that a reviewer has judged: the reviewer's word stands."""
    judged = [i for i, r in reviews.items() if r.decision]
    return issues[~issues["image_id"].isin(judged)]


def fingerprint_external_inputs(
    config: Config, run_path: Path, earlier_fingerprint: str | None
) -> str:
    """What this stage takes from outside the run: reviewers' decisions on labels. Part of the stage's key.

    A run takes them once (`before`): what is decided later is for the next run, and does not start this one anew.
    """
    return (
        review_decisions.hash_decisions(run_path.parent, "labels")
        if earlier_fingerprint is None
        else earlier_fingerprint
    )


def find_suspected_labels(
    config: Config,
    context: StageContext,
    images: pd.DataFrame,
    splits: pd.DataFrame,
    layout: NDArray[np.float16],
    label_indices: NDArray[np.int64],
) -> pd.DataFrame:
    """Labels outside test that heads on frozen features, which never saw the image's group, hold to be wrong."""
    from pipeline.learning.inference.label_errors import (
        can_find_label_errors,
        find_label_errors,
        predict_out_of_fold,
    )
    from pipeline.learning.training.batch_sampling import ArraySubset

    rows = np.flatnonzero((label_indices >= 0) & (splits["split"] != "test").to_numpy())
    groups = images["group"].to_numpy(dtype=str)[rows]
    if not can_find_label_errors(label_indices[rows], groups):
        context.add_note("too few groups to look for wrong labels")
        return pd.DataFrame(columns=list(LABEL_ISSUE_COLUMNS))
    _, labels = np.unique(label_indices[rows], return_inverse=True)
    if len(rows) > config.label_check_images:
        context.add_note(
            f"label heads learnt from about {config.label_check_images} of {len(rows)} images, evenly by group"
        )
    seen = ArraySubset(layout, rows)
    odds = predict_out_of_fold(
        seen,
        labels,
        groups,
        max_images=config.label_check_images,
        seed=context.seed,
        track=context.track_progress,
    )
    found = find_label_errors(odds, labels, groups, config.label_issue_threshold)
    at = rows[found["position"].to_numpy(np.intp)]
    names = images["label"].iloc[rows].groupby(labels).first()
    return pd.DataFrame(
        {
            "image_id": images["image_id"].to_numpy()[at],
            "label": images["label"].to_numpy()[at],
            "suggested": names.loc[found["suggested"]].to_numpy(),
            "confidence": found["confidence"],
            "kind": LabelIssueKind.SUSPECTED,
            "split": splits["split"].to_numpy()[at],
        }
    )


def check_classes(config: Config, class_names: list[str]) -> None:
    """Raises `InputError` for costs of classes that are not there, as soon as the classes are known."""
    build_cost_matrix(config.costs, class_names, "evaluate.costs")


def run(
    config: Config,
    context: StageContext,
    *,
    images: pd.DataFrame,
    pixels: NDArray[np.uint8],
    classes: dict[str, list[str]],
    splits: pd.DataFrame,
    duplicates: pd.DataFrame,
    model: Path,
) -> StageOutputs:
    """Ask the model about the labeled images of val; look for wrong labels everywhere but in test.

    Makes `predictions`, `embeddings` (frozen packaged weights), `metrics` (see `evidence.scores`, with the bins of the
    reliability diagram, and the cost of each error) and `label_issues`. Raises `InputError` for costs of classes that
    are not there.
    """
    from pipeline.learning.inference.model_outputs import compute_logits
    from pipeline.learning.models.backbone import load_model
    from pipeline.learning.training.batch_sampling import ArraySubset
    from pipeline.learning.training.holdout_split import find_class_indices

    names = list(classes["names"])
    network, meta = load_model(Path(model))
    truth, temperature = find_class_indices(images, names), float(meta.get("temperature") or 1.0)
    val = np.flatnonzero((splits["split"] == "val").to_numpy() & (truth >= 0))
    answers = compute_logits(
        network, ArraySubset(pixels, val), meta, config.batch_size, context.track_progress
    )
    table = build_predictions(images["image_id"].iloc[val], truth[val], answers, names, temperature)
    metrics: dict[str, Any] = score_logits(
        answers, truth[val], images["group"].to_numpy(dtype=str)[val], names, temperature
    )
    metrics["costs"] = build_cost_matrix(config.costs, names, "evaluate.costs")
    metrics["calibration"]["bins"] = compute_reliability_bins(
        table["confidence"].to_numpy(), table["correct"].to_numpy()
    )
    embeddings, layout = compute_frozen_features(
        pixels, np.flatnonzero((splits["split"] != "test").to_numpy()), context
    )
    issues = [find_label_conflicts(duplicates, images, splits)]
    if config.check_labels:
        issues.append(find_suspected_labels(config, context, images, splits, layout, truth))
    reviews = review_decisions.read_decisions(context.runs_folder).labels
    found = pd.concat(
        [
            *map(partial(_drop_reviewed_issues, reviews), issues),
            collect_reviewed_labels(reviews, images, splits),
        ],
        ignore_index=True,
    )
    return {
        "predictions": table,
        "embeddings": embeddings,
        "metrics": metrics,
        "label_issues": found.astype(LABEL_ISSUE_COLUMNS),
    }
