"""Stage `follow`: trace confirmed slices over the runs of one name, on the validation images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.config import StageSettings
from pipeline.contracts import InputError, StageContext, StageOutputs
from pipeline.domain.statuses import FollowObstacle, TrackState
from pipeline.domain.validation_set import ValidationSet
from pipeline.report.sentences.slice_sentences import add_sentences
from pipeline.slices.candidates.cross_fitting import assign_halves
from pipeline.slices.candidates.rule_admission import (
    measure_reference_distances,
    parse_frozen_rules,
)
from pipeline.slices.tracking.slice_history import TrackedSlice
from pipeline.slices.tracking.slice_matching import (
    ConfirmedSlice,
    CurrentRun,
    hash_groups,
    track_slices,
)
from pipeline.storage.artifact_store import RunFolder, compute_key
from pipeline.storage.previous_run import find_previous_run

ALARM_STATES = (TrackState.NEW, TrackState.BACK, TrackState.GROWING)
"""States that are noted: a failure that is there now and was not, or was smaller."""


class Config(StageSettings):
    """Limits for two slices that are the same, and for a slice that is closed."""

    min_overlap: float = Field(
        0.5, gt=0, le=1, description="overlap from which a slice is the same as an earlier one"
    )
    closed_excess: float = Field(
        0.1,
        gt=0,
        le=1,
        description="excess error below which a slice is closed, if it was at least halved too",
    )


def run(
    config: Config,
    context: StageContext,
    *,
    images: pd.DataFrame,
    embeddings: NDArray[np.float32],
    validation_set: ValidationSet,
    slices: pd.DataFrame,
    explanations: pd.DataFrame,
) -> StageOutputs:
    """Return `followed`, the history of each slice, and `proposers`.

    `proposers` lists the hashed groups that proposed the rule of a slice; they are no evidence
    about it in any run.

    Args:
        config: settings of the stage.
        context: seed, progress, notes and folders.
        images: the artifact of that name, as the further arguments.
    """
    previous_run = _find_followed_run(context.runs_folder / context.run_id)
    reason = None if previous_run else FollowObstacle.NO_EARLIER_RUN
    earlier: list[TrackedSlice] = []
    if previous_run:
        try:
            earlier = _load_earlier_slices(previous_run)
        except (InputError, KeyError, TypeError, ValueError) as error:
            previous_run = None
            reason = FollowObstacle.UNREADABLE_RUN
            context.add_note(f"the previous run cannot be read: {error}")
    val = validation_set.exclude_label_issues()
    # the rule of an earlier run may test a column that the rules of this run may not
    val = replace(val, frame=val.all_columns)
    confirmed = _list_confirmed_slices(val, slices, explanations)
    tracks = track_slices(
        CurrentRun(
            context.run_id,
            val,
            _measure_val_distances(val, images, embeddings, [*confirmed, *earlier]),
            config.closed_excess,
            config.min_overlap,
        ),
        confirmed,
        earlier,
    )
    for track in tracks:
        if previous_run and track.state in ALARM_STATES:
            context.add_note(f"{track.state} since run {previous_run.run_id}: {track.description}")
    followed = {
        "previous": previous_run.run_id if previous_run else None,
        "reason": reason,
        "slices": [track.build_record() for track in tracks],
    }
    return {"followed": followed, "proposers": _build_proposers(tracks)}


def fingerprint_external_inputs(
    config: Config, run_path: Path, earlier_fingerprint: str | None
) -> str:
    """Return a hash of this run's name and of the previous run, a part of the stage's key.

    The name is a part, since new slices are recorded as first seen in this run: no other run may
    reuse the outputs. The previous run is chosen once; it may be pruned afterwards.

    Args:
        config: settings of the stage.
        run_path: folder of the run.
        earlier_fingerprint: hash that this run recorded before.
    """
    if earlier_fingerprint is not None:
        return earlier_fingerprint
    previous_run = _find_followed_run(run_path)
    if previous_run is None:
        return compute_key(run_path.name, None, {})
    return compute_key(run_path.name, previous_run.run_id, previous_run.read_record("follow") or {})


def _find_followed_run(run_path: Path) -> RunFolder | None:
    """Return the newest earlier run of the same name that reached its report, or None."""
    return find_previous_run(run_path, ("follow", "report"), "follow")


def _load_earlier_slices(previous_run: RunFolder) -> list[TrackedSlice]:
    """Return the slices as the previous run recorded them."""
    table = previous_run.load_artifact("proposers")
    groups_of = {}
    for key, part in table.groupby(["since", "first"]):
        groups_of[key] = frozenset(part["group"])
    earlier = []
    for record in previous_run.load_artifact("followed")["slices"]:
        groups = groups_of.get((record["since"], record["first"]), frozenset())
        earlier.append(TrackedSlice.parse_record(record, groups))
    return earlier


def _list_confirmed_slices(
    val: ValidationSet, slices: pd.DataFrame, explanations: pd.DataFrame
) -> list[ConfirmedSlice]:
    """Return the confirmed slices with the groups of the half that chose their frozen rule."""
    halves = assign_halves(val.folds)
    groups = hash_groups(val.groups)
    texts = add_sentences(explanations).set_index("slice")
    confirmed = []
    for name, rule in parse_frozen_rules(explanations).items():
        is_frozen = (slices["slice"] == name) & slices["is_frozen"]
        is_applied = np.isin(val.folds, slices.loc[is_frozen, "fold"])
        applied_half = halves[is_applied][0]
        proposing_groups = frozenset(groups[halves != applied_half].tolist())
        description = str(texts.at[name, "words"])
        title = str(texts.at[name, "title"])
        confirmed.append(ConfirmedSlice(name, description, title, rule, proposing_groups))
    return confirmed


def _measure_val_distances(
    val: ValidationSet,
    images: pd.DataFrame,
    embeddings: NDArray[np.float32],
    ruled_slices: list[ConfirmedSlice | TrackedSlice],
) -> dict[str, NDArray[np.float32]]:
    """Return the distances of the validation images to each image that a rule refers to."""
    rules = [item.rule for item in ruled_slices]
    distances = measure_reference_distances(images, rules, embeddings)
    return {image_id: values[val.image_rows] for image_id, values in distances.items()}


def _build_proposers(tracks: list[TrackedSlice]) -> pd.DataFrame:
    rows = []
    for track in tracks:
        for group in sorted(track.proposing_groups):
            rows.append((track.first_run_id, track.first_name, group))
    return pd.DataFrame(rows, columns=["since", "first", "group"]).astype("str")
