"""Stage `evaluate`: predict the validation images, embed all but the test images, check labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.config import StageSettings
from pipeline.contracts import StageContext, StageOutputs
from pipeline.data.quality.label_issues import (
    LABEL_ISSUE_DTYPES,
    collect_reviewed_labels,
    drop_reviewed_issues,
    find_label_conflicts,
)
from pipeline.statistics.classification.classification_metrics import score_logits
from pipeline.statistics.classification.error_costs import build_cost_matrix
from pipeline.statistics.classification.reliability_diagram import compute_reliability_bins
from pipeline.storage import review_decisions


class Config(StageSettings):
    """Settings of the evaluation."""

    batch_size: int = Field(64, ge=1, description="images that the model reads at once")
    costs: dict[str, dict[str, Annotated[float, Field(ge=0, le=1)]]] = Field(
        {},
        description="cost of each error by label and prediction, as a share of the worst error; "
        "errors that are not listed cost 1",
    )
    check_labels: bool = Field(True, description="look for wrong labels")
    label_issue_threshold: float = Field(
        0.8,
        gt=0.5,
        lt=1,
        description="probability of another class from which a label is suspected",
    )
    label_check_images: int = Field(
        4000, ge=100, description="images at most on which a label-checking head is trained"
    )


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
    """Return `predictions`, `embeddings`, `metrics` and `label_issues`.

    Predictions and metrics cover the labeled validation images. Embeddings come from frozen
    packaged weights, for every image outside test. Labels outside test are checked.

    Args:
        config: settings of the stage.
        context: seed, progress, notes and folders.
        images: the artifact of that name, as the further arguments.

    Raises:
        InputError: a cost names an unknown class.
    """
    from pipeline.learning.batches.batch_sampling import ArraySubset
    from pipeline.learning.inference.frozen_features import compute_frozen_features
    from pipeline.learning.inference.model_outputs import compute_logits
    from pipeline.learning.inference.prediction_table import build_predictions
    from pipeline.learning.models.backbone import load_model
    from pipeline.learning.training.holdout_split import find_class_indices

    class_names = list(classes["names"])
    network, meta = load_model(Path(model))
    temperature = float(meta.get("temperature") or 1.0)
    labels = find_class_indices(images, class_names)
    val_rows = np.flatnonzero((splits["split"] == "val").to_numpy() & (labels >= 0))
    logits = compute_logits(
        network, ArraySubset(pixels, val_rows), meta, config.batch_size, context.track_progress
    )
    predictions = build_predictions(
        images["image_id"].iloc[val_rows], labels[val_rows], logits, class_names, temperature
    )
    groups = images["group"].to_numpy(dtype=str)[val_rows]
    metrics = score_logits(logits, labels[val_rows], groups, class_names, temperature)
    metrics["costs"] = build_cost_matrix(config.costs, class_names, "evaluate.costs")
    metrics["calibration"]["bins"] = compute_reliability_bins(
        predictions["confidence"].to_numpy(), predictions["correct"].to_numpy()
    )
    embedded_rows = np.flatnonzero((splits["split"] != "test").to_numpy())
    embeddings, layout = compute_frozen_features(
        pixels, embedded_rows, context.scratch_folder, context.track_progress
    )
    suspected = (
        _find_suspected_labels(config, context, images, splits, layout, labels)
        if config.check_labels
        else None
    )
    conflicts = find_label_conflicts(duplicates, images, splits)
    return {
        "predictions": predictions,
        "embeddings": embeddings,
        "metrics": metrics,
        "label_issues": _collect_issues(context, images, splits, conflicts, suspected),
    }


def _find_suspected_labels(
    config: Config,
    context: StageContext,
    images: pd.DataFrame,
    splits: pd.DataFrame,
    layout: NDArray[np.float16],
    labels: NDArray[np.intp],
) -> pd.DataFrame:
    """Return the images whose label a head on frozen features doubts."""
    from pipeline.learning.inference.suspected_labels import find_suspected_labels

    return find_suspected_labels(
        images,
        splits,
        layout,
        labels,
        min_confidence=config.label_issue_threshold,
        max_images=config.label_check_images,
        context=context,
    )


def _collect_issues(
    context: StageContext,
    images: pd.DataFrame,
    splits: pd.DataFrame,
    conflicts: pd.DataFrame,
    suspected: pd.DataFrame | None,
) -> pd.DataFrame:
    """Return `label_issues`: conflicts and suspected labels that nobody reviewed, and reviews."""
    reviews = review_decisions.read_decisions(context.runs_folder).labels
    unreviewed = [conflicts] if suspected is None else [conflicts, suspected]
    issues = [drop_reviewed_issues(found, reviews) for found in unreviewed]
    issues.append(collect_reviewed_labels(reviews, images, splits))
    return pd.concat(issues, ignore_index=True).astype(LABEL_ISSUE_DTYPES)


def fingerprint_external_inputs(
    config: Config, run_path: Path, earlier_fingerprint: str | None
) -> str:
    """Return a hash of the reviewers' decisions on labels, a part of the stage's key.

    A run reads them once: later decisions are for the next run.

    Args:
        config: settings of the stage.
        run_path: folder of the run.
        earlier_fingerprint: hash that this run recorded before.
    """
    if earlier_fingerprint is not None:
        return earlier_fingerprint
    return review_decisions.hash_decisions(run_path.parent, "labels")


def check_classes(config: Config, class_names: list[str]) -> None:
    """Raise `InputError` for a cost of an unknown class, as soon as the classes are known."""
    build_cost_matrix(config.costs, class_names, "evaluate.costs")
