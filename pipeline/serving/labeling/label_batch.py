"""Batches of arriving images to label, and the evidence of the labels that come back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.contracts import InputError
from pipeline.data.reading.image_record import ImageRecord, RejectedFile
from pipeline.domain.statuses import Decision
from pipeline.serving.labeling.model_pair import ModelPair, build_model_pair
from pipeline.serving.prediction.predictor import SLICE_SEPARATOR, load_predictor
from pipeline.statistics.arrivals.active_evaluation import (
    LabeledTraffic,
    draw_labels,
    estimate_labeled_accuracy,
    estimate_labeled_gain,
)
from pipeline.statistics.arrivals.arrival_batch import ArrivedAnswers, build_arrival_batch
from pipeline.storage.arrival_ledger import hash_groups, record_batch
from pipeline.storage.artifact_store import hash_content, write_json, write_text
from pipeline.storage.champion_registry import WEIGHTS_FILE
from pipeline.storage.csv_tables import format_csv

TRAFFIC_SUFFIX = ".parquet"
"""Beside the batch: all images with both predictions. The batch shows none, so as not to bias."""
EVIDENCE_SUFFIX = ".json"
_TRAFFIC_COLUMNS = {
    "path",
    "group",
    "challenger",
    "incumbent",
    "probability",
    "is_inside",
    "challenger_weights",
    "incumbent_weights",
}


def write_label_batch(
    model_name: str,
    runs_folder: Path,
    images: Iterable[ImageRecord | RejectedFile],
    output: Path,
    label_count: int,
) -> dict[str, Any]:
    """Write a batch of images to label, and return counts.

    Args:
        model_name: a run, `champion` or `champion:NAME`.
        runs_folder: the folder of all runs.
        images: arriving images.
        output: the CSV to write: file_name and an empty label.
        label_count: number of images to label.

    Returns:
        images, unreadable, disagreements, inside (disagreements inside the planned slices) and
        labels.

    Raises:
        InputError: the model, the images or the output cannot be used.
    """
    if output.suffix != ".csv":
        raise InputError(f"-o {output}: name a .csv file")
    with tempfile.TemporaryDirectory() as folder:
        pair = build_model_pair(model_name, runs_folder, Path(folder))
        traffic, unreadable_count = _predict_traffic(pair, list(images))
        weights = [hash_content(path / WEIGHTS_FILE) for path in (pair.challenger, pair.incumbent)]
    if traffic.empty:
        raise InputError("no image could be read")
    is_disagreement = (traffic["challenger"] != traffic["incumbent"]).to_numpy()
    is_inside = traffic["is_inside"].to_numpy(bool)
    draw = draw_labels(is_disagreement, is_inside, label_count, len(traffic))
    traffic = traffic.assign(probability=draw.probability, is_drawn=draw.is_drawn)
    traffic["run_id"] = pair.run_id
    traffic["challenger_weights"], traffic["incumbent_weights"] = weights
    batch = traffic.loc[draw.is_drawn, ["path"]].rename(columns={"path": "file_name"})
    batch = batch.sample(frac=1, random_state=0)  # the order tells nothing about the models
    output.parent.mkdir(parents=True, exist_ok=True)
    traffic.to_parquet(output.with_suffix(TRAFFIC_SUFFIX), index=False)
    write_text(output, format_csv(batch.assign(label="")))
    return {
        "images": len(traffic),
        "unreadable": unreadable_count,
        "disagreements": int(is_disagreement.sum()),
        "inside": int((is_disagreement & is_inside).sum()),
        "labels": len(batch),
    }


def _predict_traffic(
    pair: ModelPair, images: list[ImageRecord | RejectedFile]
) -> tuple[pd.DataFrame, int]:
    """Return predictions of both models for each readable image, and the number of the others."""
    rows = {}
    for name, bundle in (("challenger", pair.challenger), ("incumbent", pair.incumbent)):
        rows[name] = pd.DataFrame(list(load_predictor(str(bundle)).stream_rows(images)))
    if rows["challenger"].empty:
        return pd.DataFrame(), 0
    is_read = (rows["challenger"]["decision"] != Decision.ERROR).to_numpy()
    challenger, incumbent = rows["challenger"][is_read], rows["incumbent"][is_read]
    paths = challenger["path"].astype(str)
    planned = set(pair.planned_slices)
    slices = challenger["slices"].fillna("").str.split(SLICE_SEPARATOR, regex=False)
    traffic = pd.DataFrame(
        {
            "path": [str(Path(path).absolute()) for path in paths],
            "group": challenger["group"].astype("str").fillna(paths),
            "challenger": challenger["predicted"],
            "incumbent": incumbent["predicted"],
            "challenger_confidence": challenger["probability"].astype(float),
            "incumbent_confidence": incumbent["probability"].astype(float),
            "is_inside": [bool(planned & set(names)) for names in slices],
        }
    )
    return traffic.reset_index(drop=True), int((~is_read).sum())


def apply_label_batch(batch: Path, runs_folder: Path | None = None) -> dict[str, Any]:
    """Return the gain and the accuracies that the labels of a batch show.

    The result is written beside the batch, as JSON, and into the ledger of the challenger's run,
    where the stage `promote` reads it.

    Args:
        batch: the CSV of `write_label_batch` with its labels.
        runs_folder: the folder of all runs; None writes no ledger.

    Returns:
        `recorded`, whether the ledger holds the batch; `labels`; `gain` of the challenger on all
        images and `gain_inside` the planned slices; `challenger` and `incumbent`, their accuracies.
        Each is a mean with its 95 % interval by group.

    Raises:
        InputError: the batch, or the file of its images, cannot be read or used.
    """
    traffic = _read_traffic(batch)
    labels = _read_labels(batch, traffic)
    label = traffic["path"].map(labels)
    is_labeled = (label.notna() & traffic["is_drawn"]).to_numpy()
    share = is_labeled.sum() / max(int(traffic["is_drawn"].sum()), 1)
    known = LabeledTraffic(
        traffic["group"].to_numpy(str), traffic["probability"].to_numpy(float) * share, is_labeled
    )
    correct = {
        name: np.asarray(traffic[name] == label, dtype=np.float64)
        for name in ("challenger", "incumbent")
    }
    gains = correct["challenger"] - correct["incumbent"]
    is_disagreement = (traffic["challenger"] != traffic["incumbent"]).to_numpy()
    parts = {"gain": np.ones(len(traffic), bool), "gain_inside": traffic["is_inside"].to_numpy()}
    evidence: dict[str, Any] = {"run_id": traffic["run_id"].iloc[0], "images": len(traffic)}
    evidence["recorded"] = _record_batch(batch, runs_folder, traffic, known, label)
    evidence |= {"labels": int(is_labeled.sum()), "drawn": int(traffic["is_drawn"].sum())}
    for name, inside in parts.items():
        gain = estimate_labeled_gain(known, gains, is_disagreement, inside)
        evidence[name] = gain.build_record()
    for name, values in correct.items():
        confidence = traffic[f"{name}_confidence"].to_numpy(float)
        accuracy = estimate_labeled_accuracy(known, values, confidence)
        evidence[name] = accuracy.build_record()
    write_json(batch.with_suffix(EVIDENCE_SUFFIX), evidence)
    return evidence


def _record_batch(
    batch: Path,
    runs_folder: Path | None,
    traffic: pd.DataFrame,
    labeled: LabeledTraffic,
    labels: pd.Series[str],
) -> bool:
    """Write the batch into the ledger of its challenger, and return whether its run is here."""
    run_id = str(traffic["run_id"].iloc[0])
    if runs_folder is None or not (runs_folder / run_id).is_dir():
        return False
    answers = ArrivedAnswers(
        traffic["challenger"].to_numpy(str),
        traffic["incumbent"].to_numpy(str),
        labels.fillna("").to_numpy(str),
        traffic["is_inside"].to_numpy(bool),
    )
    arrived = build_arrival_batch(labeled, answers)
    entry = {
        "batch": hash_content(batch.with_suffix(TRAFFIC_SUFFIX)),
        "challenger": str(traffic["challenger_weights"].iloc[0]),
        "incumbent": str(traffic["incumbent_weights"].iloc[0]),
        "evidence": {**arrived.build_record(), "groups": hash_groups(arrived.groups)},
    }
    record_batch(runs_folder, run_id, entry)
    return True


def _read_traffic(batch: Path) -> pd.DataFrame:
    path = batch.with_suffix(TRAFFIC_SUFFIX)
    try:
        traffic = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read; it is written with the batch and must stay beside it"
        ) from error
    if not set(traffic) >= _TRAFFIC_COLUMNS:
        raise InputError(f"{path}: not written by nightshift label")
    return traffic


def _read_labels(batch: Path, traffic: pd.DataFrame) -> Mapping[str, str]:
    """Return the labels of a batch by path; rows without a label are left out."""
    try:
        table = pd.read_csv(batch, dtype="str")
    except (OSError, ValueError) as error:
        raise InputError(f"{batch}: cannot be read ({error})") from error
    if not set(table) >= {"file_name", "label"}:
        raise InputError(f"{batch}: needs the columns file_name and label")
    table = table.dropna(subset=["label"])
    known = set(traffic["path"])
    unknown = [name for name in table["file_name"] if name not in known]
    if unknown:
        raise InputError(f"{batch}: {unknown[0]} is not of this batch; remove the row")
    if table.empty:
        raise InputError(f"{batch}: no label in it; fill the column label")
    return dict(zip(table["file_name"], table["label"], strict=True))
