"""Follows slices across the runs of one name: new, growing, shrinking, closed, back; on val, never on test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.config import StageSettings, read_config
from pipeline.contracts import InputError, StageContext, StageOutputs
from pipeline.domain.rules import Rule
from pipeline.domain.statuses import TrackState
from pipeline.domain.validation_set import ValidationSet
from pipeline.report.slice_sentences import add_sentences
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
from pipeline.storage.artifact_store import RunFolder, compute_key, list_finished_stages, list_runs

ALARM_STATES = (TrackState.NEW, TrackState.BACK, TrackState.GROWING)  # states that are noted


class Config(StageSettings):
    """When two slices are the same, and when one is gone."""

    min_overlap: float = Field(
        0.5, gt=0, le=1, description="overlap from which a slice of today is an earlier one"
    )
    closed_excess: float = Field(
        0.1,
        gt=0,
        le=1,
        description="a slice is closed where its excess error is below this, and half of what it was",
    )


def _read_run_name(run_folder: RunFolder) -> str | None:
    """What the run's config calls it; None where that cannot be read."""
    try:
        return str(read_config(run_folder.path / "config.yaml")["name"])
    except (InputError, KeyError):
        return None


def find_previous_run(run_path: Path) -> RunFolder | None:
    """The newest earlier run of the same name that came to its report and followed its slices, or None.

    folder: of the run; earlier is what was begun before it.
    """
    every = list_runs(run_path.parent)
    place = next((k for k, run in enumerate(every) if run.run_id == run_path.name), len(every))
    name = _read_run_name(RunFolder(run_path))
    ended = (
        run for run in every[place + 1 :] if {"follow", "report"} <= set(list_finished_stages(run))
    )
    return next(
        (
            run
            for run in ended
            if name is not None and _read_run_name(run) == name and run.is_intact("follow")
        ),
        None,
    )


def fingerprint_external_inputs(
    config: Config, run_path: Path, earlier_fingerprint: str | None
) -> str:
    """The run before, taken once (`before`): that it was pruned since does not start this one anew. It names this run,
    since what it confirms is told as first seen in it: so nothing is taken over from another."""
    if earlier_fingerprint is not None:
        return earlier_fingerprint
    last = find_previous_run(run_path)
    return compute_key(
        run_path.name,
        last.run_id if last else None,
        (last.read_record("follow") if last else None) or {},
    )


def _load_earlier_slices(previous_run: RunFolder | None) -> list[TrackedSlice]:
    """The slices as the run before left them. Raises `InputError` where they cannot be read."""
    if previous_run is None:
        return []
    table = previous_run.load_artifact("proposers")
    seen = {key: frozenset(part["group"]) for key, part in table.groupby(["since", "first"])}
    records = previous_run.load_artifact("followed")["slices"]
    return [
        TrackedSlice.parse_record(record, seen.get((record["since"], record["first"]), frozenset()))
        for record in records
    ]


def _load_confirmed_slices(
    val: ValidationSet, slices: pd.DataFrame, explanations: pd.DataFrame
) -> list[ConfirmedSlice]:
    """The confirmed slices, each with the groups of the half of val that its frozen rule was proposed on."""
    half, groups = assign_halves(val.folds), hash_groups(val.groups)
    rules, texts = parse_frozen_rules(explanations), add_sentences(explanations).set_index("slice")
    found = []
    for name, rule in rules.items():
        own = slices[(slices["slice"] == name) & (slices["rule"].map(Rule.parse_json) == rule)]
        unseen = half[np.isin(val.folds, own["fold"])][:1]  # the half that it was applied to
        text = (str(texts.at[name, "words"]), str(texts.at[name, "title"]))
        found.append(
            ConfirmedSlice(name, *text, rule, frozenset(groups[half != unseen[0]].tolist()))
        )
    return found


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
    """Make `followed` (see `pipeline.slices.tracking.slice_history`) and `proposers`: the groups that say nothing about a slice."""
    last, why = find_previous_run(context.runs_folder / context.run_id), None
    try:
        earlier = _load_earlier_slices(last)
    except (InputError, KeyError, TypeError, ValueError) as error:
        earlier, last, why = [], None, f"the run before cannot be read: {error}"
        context.add_note(why)
    val = validation_set.exclude_label_issues()
    val = replace(
        val, frame=val.all_columns
    )  # an earlier run's rule may test a column that no rule of today may
    found = _load_confirmed_slices(val, slices, explanations)
    asked = [*(item.rule for item in found), *(track.rule for track in earlier)]
    near = {
        name: away[val.image_rows]
        for name, away in measure_reference_distances(images, asked, embeddings).items()
    }
    tracks = track_slices(
        CurrentRun(context.run_id, val, near, config.closed_excess, config.min_overlap),
        found,
        earlier,
    )
    for track in tracks:
        if last and track.state in ALARM_STATES:
            context.add_note(f"{track.state} since run {last.run_id}: {track.description}")
    seen = [(track.first_run_id, track.first_name, group) for track in tracks for group in sorted(track.proposing_groups)]
    why = why or (None if last else "no earlier run of this name followed its slices")
    return {
        "followed": {
            "previous": last.run_id if last else None,
            "why": why,
            "slices": [t.build_record() for t in tracks],
        },
        "proposers": pd.DataFrame(seen, columns=["since", "first", "group"]).astype("str"),
    }
