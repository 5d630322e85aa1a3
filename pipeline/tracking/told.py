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

from pipeline.config import read
from pipeline.store import Run, finished, key_of, read_json

SECTIONS = ("schedule", "tracking")
"""Parts of the config that shape no result, so that they are no parameters."""


@dataclass(frozen=True)
class Figure:
    """One number of a run. step: of a training, else 0."""

    key: str
    value: float
    step: int = 0


def identity(run: Run) -> dict[str, str]:
    """Tags that tell this run from every other, also from one of the same name elsewhere, or made after it was gone."""
    created = str(read_json(run.path / "run.json").get("created", ""))
    return {"nightshift.run": run.run_id, "nightshift.key": key_of(run.run_id, created)[:32]}


def began(run: Run) -> int:
    """When the run was begun, in milliseconds since 1970."""
    created = read_json(run.path / "run.json").get("created") or "1970-01-01 00:00:00"
    return int(1000 * time.mktime(time.strptime(created, "%Y-%m-%d %H:%M:%S")))


def ended(run: Run, stage: str) -> int:
    """When a finished stage was saved, in milliseconds since 1970."""
    return (run.path / stage / "stage.json").stat().st_mtime_ns // 1_000_000


def config_of(run: Run) -> dict[str, Any]:
    """The run's resolved config as it stands in its folder; empty where there is none yet."""
    path = run.path / "config.yaml"
    return read(path) if path.is_file() else {}


def settings(run: Run) -> dict[str, str]:
    """Every setting as `stage.key`: text as it is, anything else as JSON."""
    flat: dict[str, Any] = {}
    for name, value in config_of(run).items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": inner for key, inner in value.items() if name not in SECTIONS}
        else:
            flat[name] = value
    return {key: value if isinstance(value, str) else json.dumps(value, default=str) for key, value in flat.items()}


def _numbers(prefix: str, value: Any) -> Iterator[Figure]:
    """Every finite number in a JSON value, named by where it stands; a lone `value` has its parent's name."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            name = prefix if key == "value" else f"{prefix}.{re.sub(r'[^A-Za-z0-9_.-]+', '_', str(key))}"
            yield from _numbers(name, inner)
    elif isinstance(value, int | float) and math.isfinite(value):
        yield Figure(prefix, float(value))


def _train(run: Run) -> Iterator[Figure]:
    history: pd.DataFrame = run.load("history")
    yield from _course("train", history.to_dict("records"))


def _course(prefix: str, rows: list[Any]) -> Iterator[Figure]:
    """Loss, accuracy and learning rate by step, of each split where there are several."""
    for row in rows:
        name = ".".join([prefix, *([row["split"]] if "split" in row else [])])
        for key in ("loss", "accuracy", "rate"):
            for figure in _numbers(f"{name}.{key}", row[key]):
                yield Figure(figure.key, figure.value, int(row["step"]))


def _retrain(run: Run) -> Iterator[Figure]:
    for entry in read_json(Path(run.load("candidates")) / "candidates.json"):
        yield from _course(f"retrain.{entry['arm']}.{entry['seed']}", entry.get("history", []))


def _evaluate(run: Run) -> Iterator[Figure]:
    metrics = run.load("metrics")
    for key in ("accuracy", "macro_f1"):
        yield from _numbers(f"evaluate.{key}", metrics.get(key))
    yield from _numbers("evaluate.ece", metrics.get("calibration", {}).get("ece"))


def _report(run: Run) -> Iterator[Figure]:
    summary = run.load("summary")
    for split, part in summary["metrics"].items():
        if not part:
            continue
        yield from _numbers(f"{split}.macro_f1", part.get("macro_f1"))
        for row in part.get("parts", []):
            arms = {key: row[key] for key in ("n", "groups", "before", "control", "after", "gain") if key in row}
            yield from _numbers(f"{split}.accuracy.{row['slice'] or row['what']}", arms)
    for item in summary["slices"]:
        keys = ("n", "groups", "error", "expected", "excess", "q_value", "effect")
        yield from _numbers(f"slice.{item['slice']}", {key: item.get(key) for key in keys})
    yield from _numbers("changes", summary.get("changes"))


_OF = {"train": _train, "retrain": _retrain, "evaluate": _evaluate, "report": _report}


def figures(run: Run, stage: str) -> list[Figure]:
    """The numbers of a finished stage: its seconds, a training's course, figures with their intervals.

    Raises `InputError` where an artifact is missing or broken.
    """
    seconds = float((run.record(stage) or {}).get("seconds", 0.0))
    return [Figure(f"seconds.{stage}", seconds), *_OF.get(stage, lambda _: iter(()))(run)]


def tags(run: Run) -> dict[str, str]:
    """Verdict and slices in words, as far as the run came."""
    if not run.file("summary").is_file():
        return {"stages": f"{len(finished(run))} done"}
    summary = run.load("summary")
    verdict, slices = summary["verdict"], summary["slices"]
    found = {f"slice.{s['slice']}": f"{s['status']}: {s['words']}" for s in slices}
    confirmed = [s["slice"] for s in slices if s["status"] == "confirmed"]
    headline = verdict["headline"]
    told = {"verdict": headline.partition(": ")[0], "headline": headline, "slices.confirmed": " ".join(confirmed)}
    return {**told, **found, "stages": f"{len(finished(run))} done", "mlflow.note.content": headline}
