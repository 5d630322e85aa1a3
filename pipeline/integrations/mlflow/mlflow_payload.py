"""What MLflow records of a run, read from the run's folder; independent of MLflow."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.config import read_config
from pipeline.domain.statuses import SliceStatus
from pipeline.storage.artifact_store import RunFolder, compute_key, list_finished_stages, read_json
from pipeline.storage.run_record import read_run_record

UNLOGGED_SECTIONS = ("schedule", "tracking")
"""Sections of the config that do not affect the results, so they are not parameters."""
# Characters of a key: enough that two runs never share one.
_KEY_LENGTH = 32
_ARM_KEYS = ("n", "groups", "before", "control", "after", "gain")
_SLICE_KEYS = ("n", "groups", "error", "expected", "excess", "q_value", "effect")
_CURVE_KEYS = ("loss", "accuracy", "rate")


@dataclass(frozen=True)
class RunMetric:
    """One number of a run.

    Attributes:
        key: its name.
        value: a finite number.
        step: step of a training, else 0.
    """

    key: str
    value: float
    step: int = 0


def build_identity_tags(run: RunFolder) -> dict[str, str]:
    """Return tags that identify a run, also among runs of the same name in other folders."""
    created = read_run_record(run.path).created
    key = compute_key(run.run_id, created)[:_KEY_LENGTH]
    return {"nightshift.run": run.run_id, "nightshift.key": key}


def read_start_time(run: RunFolder) -> int:
    """Return when the run began, in milliseconds since 1970."""
    try:
        return int(1000 * datetime.fromisoformat(read_run_record(run.path).created).timestamp())
    except ValueError:
        return 0


def read_stage_end_time(run: RunFolder, stage: str) -> int:
    """Return when a finished stage was saved, in milliseconds since 1970."""
    return (run.path / stage / "stage.json").stat().st_mtime_ns // 1_000_000


def read_run_config(run: RunFolder) -> dict[str, Any]:
    """Return the run's resolved config, empty if it has none yet."""
    path = run.path / "config.yaml"
    return read_config(path) if path.is_file() else {}


def flatten_settings(run: RunFolder) -> dict[str, str]:
    """Return every setting as `stage.key`: text unchanged, anything else as JSON."""
    flat: dict[str, Any] = {}
    for name, value in read_run_config(run).items():
        if not isinstance(value, dict):
            flat[name] = value
        elif name not in UNLOGGED_SECTIONS:
            for key, setting in value.items():
                flat[f"{name}.{key}"] = setting
    for name, value in flat.items():
        if not isinstance(value, str):
            flat[name] = json.dumps(value, default=str)
    return flat


def _extract_metrics(prefix: str, value: Any) -> Iterator[RunMetric]:
    """Yield every finite number in a JSON value, named by its path.

    A key `value` adds nothing to the path.
    """
    if isinstance(value, Mapping):
        for key, child in value.items():
            safe_key = re.sub(r"[^A-Za-z0-9_.-]+", "_", str(key))
            yield from _extract_metrics(prefix if key == "value" else f"{prefix}.{safe_key}", child)
    elif isinstance(value, int | float) and math.isfinite(value):
        yield RunMetric(prefix, float(value))


def _list_training_metrics(run: RunFolder) -> Iterator[RunMetric]:
    history: pd.DataFrame = run.load_artifact("history")
    yield from _list_curve_metrics("train", history.to_dict("records"))


def _list_curve_metrics(prefix: str, curve_rows: list[Any]) -> Iterator[RunMetric]:
    """Yield loss, accuracy and learning rate by step, and by split if the rows name one."""
    for row in curve_rows:
        name = f"{prefix}.{row['split']}" if "split" in row else prefix
        for key in _CURVE_KEYS:
            for metric in _extract_metrics(f"{name}.{key}", row[key]):
                yield RunMetric(metric.key, metric.value, int(row["step"]))


def _list_retraining_metrics(run: RunFolder) -> Iterator[RunMetric]:
    for entry in read_json(Path(run.load_artifact("candidates")) / "candidates.json"):
        prefix = f"retrain.{entry['arm']}.{entry['seed']}"
        yield from _list_curve_metrics(prefix, entry.get("history", []))


def _list_evaluation_metrics(run: RunFolder) -> Iterator[RunMetric]:
    metrics = run.load_artifact("metrics")
    for key in ("accuracy", "macro_f1"):
        yield from _extract_metrics(f"evaluate.{key}", metrics.get(key))
    yield from _extract_metrics("evaluate.ece", metrics.get("calibration", {}).get("ece"))


def _list_report_metrics(run: RunFolder) -> Iterator[RunMetric]:
    summary = run.load_artifact("summary")
    for split, metrics in summary["metrics"].items():
        if not metrics:
            continue
        yield from _extract_metrics(f"{split}.macro_f1", metrics.get("macro_f1"))
        for subset in metrics.get("parts", []):
            arms = {key: subset[key] for key in _ARM_KEYS if key in subset}
            name = subset["slice"] or subset["what"]
            yield from _extract_metrics(f"{split}.accuracy.{name}", arms)
    for item in summary["slices"]:
        values = {key: item.get(key) for key in _SLICE_KEYS}
        yield from _extract_metrics(f"slice.{item['slice']}", values)
    yield from _extract_metrics("changes", summary.get("changes"))


_METRIC_LISTERS = {
    "train": _list_training_metrics,
    "retrain": _list_retraining_metrics,
    "evaluate": _list_evaluation_metrics,
    "report": _list_report_metrics,
}


def list_stage_metrics(run: RunFolder, stage: str) -> list[RunMetric]:
    """Return the numbers of a finished stage: seconds, training curves, results with intervals.

    Raises:
        InputError: an artifact is missing or damaged.
    """
    seconds = float((run.read_record(stage) or {}).get("seconds", 0.0))
    metrics = [RunMetric(f"seconds.{stage}", seconds)]
    if stage in _METRIC_LISTERS:
        metrics.extend(_METRIC_LISTERS[stage](run))
    return metrics


def build_result_tags(run: RunFolder) -> dict[str, str]:
    """Return tags with the verdict and the slices, or the progress of an unfinished run."""
    tags = {"stages": f"{len(list_finished_stages(run))} done"}
    if not run.get_artifact_path("summary").is_file():
        return tags
    summary = run.load_artifact("summary")
    confirmed = []
    for item in summary["slices"]:
        tags[f"slice.{item['slice']}"] = f"{item['status']}: {item['words']}"
        if item["status"] == SliceStatus.CONFIRMED:
            confirmed.append(item["slice"])
    verdict = summary["verdict"]
    return tags | {
        "verdict": verdict["word"],
        "headline": verdict["headline"],
        "slices.confirmed": " ".join(confirmed),
        "mlflow.note.content": verdict["headline"],
    }
