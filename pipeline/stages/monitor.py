"""Compares what arrived with the data of the champion in force, so that "it got dark earlier" is seen before accuracy
falls. Looks at no label and no answer, and stops no run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.contracts import InputError, StageContext, StageOutputs
from pipeline.report.traffic_sentences import describe_condition
from pipeline.slices.tracking import traffic_comparison
from pipeline.slices.tracking.reference_profile import (
    REFERENCE_FILE,
    ReferenceProfile,
    build_reference_frame,
)
from pipeline.slices.tracking.traffic_comparison import ArrivedTraffic
from pipeline.slices.tracking.traffic_conditions import TrafficLimits, evaluate_conditions
from pipeline.storage.artifact_store import RunFolder, compute_key, hash_content
from pipeline.storage.champion_registry import read_starting_champion

EMPTY_DRIFT: dict[str, Any] = {
    "images": 0,
    "slices": [],
    "attributes": [],
    "new": [],
    "conditions": [],
}


class Config(TrafficLimits):
    """Settings of the comparison with the champion's data."""


def _find_champion_bundle(run_path: Path) -> Path | None:
    """The bundle of the champion in force when the run began; None for none, or one without its data."""
    known = read_starting_champion(run_path)
    if known is None:
        return None
    folder = run_path.parents[1] / str(known.get("bundle"))
    return folder if (folder / REFERENCE_FILE).is_file() else None


def fingerprint_external_inputs(
    config: Config, run_path: Path, earlier_fingerprint: str | None
) -> str:
    """The champion's data, taken once by a run (`before`): what it promotes later does not start it anew."""
    if earlier_fingerprint is not None:
        return earlier_fingerprint
    folder = _find_champion_bundle(run_path)
    return (
        compute_key(hash_content(folder / REFERENCE_FILE), hash_content(folder / "bundle.json"))
        if folder
        else ""
    )


def _select_arrived_images(images: pd.DataFrame, home: Path, run_id: str) -> pd.Series:
    """Which images the champion's run did not have, by their bytes; all of them where its folder is gone."""
    try:
        known = RunFolder.open_existing(home / run_id).load_artifact("images")["content_hash"]
    except InputError:
        return pd.Series(True, index=images.index)
    return ~images["content_hash"].isin(known)


def run(
    config: Config, context: StageContext, *, images: pd.DataFrame, attributes: pd.DataFrame
) -> StageOutputs:
    """Make `drift`: the images that the champion's run did not have, against the champion's data (see
    `pipeline.slices.tracking.traffic_comparison.compare`), with the conditions; `why` says why there is nothing to compare, else null."""
    folder = _find_champion_bundle(context.runs_folder / context.run_id)
    if folder is None:
        return {
            "drift": {
                **EMPTY_DRIFT,
                "champion": None,
                "why": "no champion with data of its own was in force",
            }
        }
    reference = ReferenceProfile.load_bundle(folder)
    table, basis = build_reference_frame(images, attributes, reference.rules)
    new = table[
        _select_arrived_images(images, context.runs_folder, reference.run_id).to_numpy()
    ].reset_index(drop=True)
    if new.empty:
        why = "no image arrived that its run did not have"
        return {"drift": {**EMPTY_DRIFT, "champion": reference.run_id, "why": why}}
    found = traffic_comparison.compare_traffic(reference, ArrivedTraffic(new, basis), config)
    judged = evaluate_conditions(found, config)
    for item in judged:
        if not item["passed"]:
            context.add_note(f"against the data of champion {reference.run_id}: {describe_condition(item)}")
    return {"drift": {**found, "champion": reference.run_id, "why": None, "conditions": judged}}
