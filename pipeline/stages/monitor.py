"""Compares what arrived with the data of the champion in force, so that "it got dark earlier" is seen before accuracy
falls. Looks at no label and no answer, and stops no run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.champion import taken
from pipeline.contracts import Context, InputError, Made
from pipeline.slicing import traffic
from pipeline.slicing.reference import FILE, Reference, frame_of
from pipeline.slicing.traffic import Limits, Traffic
from pipeline.store import Run, digest, key_of

NOTHING: dict[str, Any] = {"photos": 0, "slices": [], "attributes": [], "new": [], "conditions": []}


class Config(Limits):
    """Settings of the comparison with the champion's data."""


def _champion(run: Path) -> Path | None:
    """The bundle of the champion in force when the run began; None for none, or one without its data."""
    known = taken(run)
    if known is None:
        return None
    folder = run.parents[1] / str(known.get("bundle"))
    return folder if (folder / FILE).is_file() else None


def fingerprint(config: Config, run: Path, before: str | None) -> str:
    """The champion's data, taken once by a run (`before`): what it promotes later does not start it anew."""
    if before is not None:
        return before
    folder = _champion(run)
    return key_of(digest(folder / FILE), digest(folder / "bundle.json")) if folder else ""


def _arrived(images: pd.DataFrame, home: Path, run_id: str) -> pd.Series:
    """Which photos the champion's run did not have, by their bytes; all of them where its folder is gone."""
    try:
        known = Run.open(home / run_id).load("images")["content_hash"]
    except InputError:
        return pd.Series(True, index=images.index)
    return ~images["content_hash"].isin(known)


def run(config: Config, context: Context, *, images: pd.DataFrame, attributes: pd.DataFrame) -> Made:
    """Make `drift`: the photos that the champion's run did not have, against the champion's data (see
    `pipeline.slicing.traffic.compare`), with the conditions; `why` says why there is nothing to compare, else null."""
    folder = _champion(context.home / context.run_id)
    if folder is None:
        return {"drift": {**NOTHING, "champion": None, "why": "no champion with data of its own was in force"}}
    reference = Reference.load(folder)
    table, basis = frame_of(images, attributes, reference.rules)
    new = table[_arrived(images, context.home, reference.run_id).to_numpy()].reset_index(drop=True)
    if new.empty:
        why = "no photo arrived that its run did not have"
        return {"drift": {**NOTHING, "champion": reference.run_id, "why": why}}
    found = traffic.compare(reference, Traffic(new, basis), config)
    judged = traffic.conditions(found, config)
    for item in judged:
        if not item["passed"]:
            context.note(f"against the data of champion {reference.run_id}: {item['words']}")
    return {"drift": {**found, "champion": reference.run_id, "why": None, "conditions": judged}}
