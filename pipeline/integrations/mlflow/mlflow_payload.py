"""What MLflow is told of a run, read from its folder; knows nothing of MLflow."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.config import read_config
from pipeline.storage.artifact_store import RunFolder, compute_key, list_finished_stages, read_json

UNLOGGED_SECTIONS = ("schedule", "tracking")
"""Parts of the config that shape no result, so that they are no parameters."""


@dataclass(frozen=True)
class RunMetric:
    """One number of a run. step: of a training, else 0."""

    key: str
    value: float
    step: int = 0


def build_identity_tags(run: RunFolder) -> dict[str, str]:
    """Tags that tell this run from every other, also from one of the same name elsewhere, or made after it was gone."""
    created = str(read_json(run.path / "run.json").get("created", ""))
    return {"nightshift.run": run.run_id, "nightshift.key": compute_key(run.run_id, created)[:32]}


def read_start_time(run: RunFolder) -> int:
    """When the run was begun, in milliseconds since 1970."""
    created = read_json(run.path / "run.json").get("created") or "1970-01-01 00:00:00"
    return int(1000 * time.mktime(time.strptime(created, "%Y-%m-%d %H:%M:%S")))


def read_stage_end_time(run: RunFolder, stage: str) -> int:
    """When a finished stage was saved, in milliseconds since 1970."""
    return (run.path / stage / "stage.json").stat().st_mtime_ns // 1_000_000


def read_run_config(run: RunFolder) -> dict[str, Any]:
    """The run's resolved config as it stands in its folder; empty where there is none yet."""
    path = run.path / "config.yaml"
    return read_config(path) if path.is_file() else {}


def flatten_settings(run: RunFolder) -> dict[str, str]:
    """Every setting as `stage.key`: text as it is, anything else as JSON."""
    flat: dict[str, Any] = {}
    for name, value in read_run_config(run).items():
        if isinstance(value, dict):
            flat |= {
                f"{name}.{key}": inner
                for key, inner in value.items()
                if name not in UNLOGGED_SECTIONS
            }
        else:
            flat[name] = value
    return {
        key: value if isinstance(value, str) else json.dumps(value, default=str)
        for key, value in flat.items()
    }


def _extract_metrics(prefix: str, value: Any) -> Iterator[RunMetric]:
    """Every finite number in a JSON value, named by where it stands; a lone `value` has its parent's name."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            name = (
                prefix
                if key == "value"
                else f"{prefix}.{re.sub(r'[^A-Za-z0-9_.-]+', '_', str(key))}"
            )
            yield from _extract_metrics(name, inner)
    elif isinstance(value, int | float) and math.isfinite(value):
        yield RunMetric(prefix, float(value))


def _list_training_metrics(run: RunFolder) -> Iterator[RunMetric]:
    history: pd.DataFrame = run.load_artifact("history")
    yield from _list_curve_metrics("train", history.to_dict("records"))


def _list_curve_metrics(prefix: str, curve_rows: list[Any]) -> Iterator[RunMetric]:
    """Loss, accuracy and learning rate by step, of each split where there are several."""
    for row in curve_rows:
        name = ".".join([prefix, *([row["split"]] if "split" in row else [])])
        for key in ("loss", "accuracy", "rate"):
            for figure in _extract_metrics(f"{name}.{key}", row[key]):
                yield RunMetric(figure.key, figure.value, int(row["step"]))


def _list_retraining_metrics(run: RunFolder) -> Iterator[RunMetric]:
    for entry in read_json(Path(run.load_artifact("candidates")) / "candidates.json"):
        yield from _list_curve_metrics(
            f"retrain.{entry['arm']}.{entry['seed']}", entry.get("history", [])
        )


def _list_evaluation_metrics(run: RunFolder) -> Iterator[RunMetric]:
    metrics = run.load_artifact("metrics")
    for key in ("accuracy", "macro_f1"):
        yield from _extract_metrics(f"evaluate.{key}", metrics.get(key))
    yield from _extract_metrics("evaluate.ece", metrics.get("calibration", {}).get("ece"))


def _list_report_metrics(run: RunFolder) -> Iterator[RunMetric]:
    summary = run.load_artifact("summary")
    for split, part in summary["metrics"].items():
        if not part:
            continue
        yield from _extract_metrics(f"{split}.macro_f1", part.get("macro_f1"))
        for row in part.get("parts", []):
            arms = {
                key: row[key]
                for key in ("n", "groups", "before", "control", "after", "gain")
                if key in row
            }
            yield from _extract_metrics(f"{split}.accuracy.{row['slice'] or row['what']}", arms)
    for item in summary["slices"]:
        keys = ("n", "groups", "error", "expected", "excess", "q_value", "effect")
        yield from _extract_metrics(f"slice.{item['slice']}", {key: item.get(key) for key in keys})
    yield from _extract_metrics("changes", summary.get("changes"))


_METRIC_LISTERS = {
    "train": _list_training_metrics,
    "retrain": _list_retraining_metrics,
    "evaluate": _list_evaluation_metrics,
    "report": _list_report_metrics,
}


def list_stage_metrics(run: RunFolder, stage: str) -> list[RunMetric]:
    """The numbers of a finished stage: its seconds, a training's course, figures with their intervals.

    Raises `InputError` where an artifact is missing or broken.
    """
    seconds = float((run.read_record(stage) or {}).get("seconds", 0.0))
    return [
        RunMetric(f"seconds.{stage}", seconds),
        *_METRIC_LISTERS.get(stage, lambda _: iter(()))(run),
    ]


def build_result_tags(run: RunFolder) -> dict[str, str]:
    """Verdict and slices in words, as far as the run came."""
    if not run.get_artifact_path("summary").is_file():
        return {"stages": f"{len(list_finished_stages(run))} done"}
    summary = run.load_artifact("summary")
    verdict, slices = summary["verdict"], summary["slices"]
    found = {f"slice.{s['slice']}": f"{s['status']}: {s['words']}" for s in slices}
    confirmed = [s["slice"] for s in slices if s["status"] == "confirmed"]
    headline = verdict["headline"]
    told = {
        "verdict": headline.partition(": ")[0],
        "headline": headline,
        "slices.confirmed": " ".join(confirmed),
    }
    return {
        **told,
        **found,
        "stages": f"{len(list_finished_stages(run))} done",
        "mlflow.note.content": headline,
    }
