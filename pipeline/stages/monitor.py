"""Stage `monitor`: compare newly arrived images with the data of the champion in force.

A shift of the light is seen before accuracy falls. Neither labels nor predictions are used, and no
run is stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.contracts import InputError, StageContext, StageOutputs
from pipeline.domain.statuses import DriftObstacle
from pipeline.report.sentences.traffic_sentences import describe_condition
from pipeline.slices.tracking.reference_profile import (
    REFERENCE_FILE,
    ReferenceProfile,
    build_reference_frame,
)
from pipeline.slices.tracking.traffic_comparison import ArrivedTraffic, compare_traffic
from pipeline.slices.tracking.traffic_conditions import TrafficLimits, evaluate_conditions
from pipeline.storage.artifact_store import RunFolder, compute_key, hash_content
from pipeline.storage.bundle_record import RECORD_FILE
from pipeline.storage.champion_registry import read_starting_champion


class Config(TrafficLimits):
    """Settings of the comparison with the champion's data."""


def run(
    config: Config, context: StageContext, *, images: pd.DataFrame, attributes: pd.DataFrame
) -> StageOutputs:
    """Return `drift`: images that the champion's run did not have, against the champion's data.

    `reason` is a `DriftObstacle` if nothing could be compared, else null.

    Args:
        config: settings of the stage.
        context: seed, progress, notes and folders.
        images: the artifact of that name, as the further arguments.
    """
    folder = _find_champion_bundle(context.runs_folder / context.run_id)
    if folder is None:
        return _build_empty_drift(None, DriftObstacle.NO_CHAMPION)
    reference = ReferenceProfile.load_bundle(folder)
    table, basis = build_reference_frame(images, attributes, reference.rules)
    is_new = _find_new_images(images, context.runs_folder / reference.run_id)
    arrived = table[is_new.to_numpy()].reset_index(drop=True)
    if arrived.empty:
        return _build_empty_drift(reference.run_id, DriftObstacle.NO_NEW_IMAGE)
    findings = compare_traffic(reference, ArrivedTraffic(arrived, basis), config)
    conditions = evaluate_conditions(findings, config)
    for condition in conditions:
        if not condition["passed"]:
            context.add_note(
                f"against the data of champion {reference.run_id}: {describe_condition(condition)}"
            )
    record = {"champion": reference.run_id, "reason": None, "conditions": conditions}
    return {"drift": {**findings, **record}}


def fingerprint_external_inputs(
    config: Config, run_path: Path, earlier_fingerprint: str | None
) -> str:
    """Return a hash of the champion's data, a part of the stage's key.

    A run uses the champion that was in force when it began, whatever it promotes itself.

    Args:
        config: settings of the stage.
        run_path: folder of the run.
        earlier_fingerprint: hash that this run recorded before.
    """
    if earlier_fingerprint is not None:
        return earlier_fingerprint
    folder = _find_champion_bundle(run_path)
    if folder is None:
        return ""
    return compute_key(hash_content(folder / REFERENCE_FILE), hash_content(folder / RECORD_FILE))


def _find_champion_bundle(run_path: Path) -> Path | None:
    """Return the bundle of the champion in force when the run began, if it has reference data."""
    pointer = read_starting_champion(run_path)
    if pointer is None:
        return None
    folder = run_path.parents[1] / str(pointer.get("bundle"))
    return folder if (folder / REFERENCE_FILE).is_file() else None


def _find_new_images(images: pd.DataFrame, champion_run: Path) -> pd.Series[bool]:
    """Return whether each image's bytes are new to the champion's run; all are if it is gone."""
    try:
        known = RunFolder.open_existing(champion_run).load_artifact("images")
    except InputError:
        return pd.Series(True, index=images.index)
    return ~images["content_hash"].isin(known["content_hash"])


def _build_empty_drift(champion: str | None, reason: DriftObstacle) -> dict[str, Any]:
    empty = {"images": 0, "slices": [], "attributes": [], "new": [], "conditions": []}
    return {"drift": {**empty, "champion": champion, "reason": reason}}
