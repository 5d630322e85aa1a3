"""Follows slices across the runs of one name: new, growing, shrinking, closed, back; on val, never on test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.config import Settings, read
from pipeline.contracts import Context, InputError, Made
from pipeline.slicing.admission import frozen_rules, near_photos
from pipeline.slicing.crossing import halves
from pipeline.slicing.following import Found, Today, followed, hashed
from pipeline.slicing.rules import Rule
from pipeline.slicing.track import Track
from pipeline.slicing.validation import Val, validation
from pipeline.store import Run, finished, key_of, runs

ALARMS = ("new", "back", "growing")  # states that are noted


class Config(Settings):
    """When two slices are the same, and when one is gone."""

    same: float = Field(0.5, gt=0, le=1, description="overlap from which a slice of today is an earlier one")
    gone: float = Field(
        0.1, gt=0, le=1, description="a slice is closed where its excess error is below this, and half of what it was"
    )


def _name(run: Run) -> str | None:
    """What the run's config calls it; None where that cannot be read."""
    try:
        return str(read(run.path / "config.yaml")["name"])
    except (InputError, KeyError):
        return None


def previous(folder: Path) -> Run | None:
    """The newest earlier run of the same name that came to its report and followed its slices, or None.

    folder: of the run; earlier is what was begun before it.
    """
    every = runs(folder.parent)
    place = next((k for k, run in enumerate(every) if run.run_id == folder.name), len(every))
    name = _name(Run(folder))
    ended = (run for run in every[place + 1 :] if {"follow", "report"} <= set(finished(run)))
    return next((run for run in ended if name is not None and _name(run) == name and run.intact("follow")), None)


def fingerprint(config: Config, run: Path, before: str | None) -> str:
    """The run before, taken once (`before`): that it was pruned since does not start this one anew. It names this run,
    since what it confirms is told as first seen in it: so nothing is taken over from another."""
    if before is not None:
        return before
    last = previous(run)
    return key_of(run.name, last.run_id if last else None, (last.record("follow") if last else None) or {})


def _earlier(last: Run | None) -> list[Track]:
    """The slices as the run before left them. Raises `InputError` where they cannot be read."""
    if last is None:
        return []
    table = last.load("proposers")
    seen = {key: frozenset(part["group"]) for key, part in table.groupby(["since", "first"])}
    records = last.load("followed")["slices"]
    return [Track.parse(record, seen.get((record["since"], record["first"]), frozenset())) for record in records]


def _columns(images: pd.DataFrame, attributes: pd.DataFrame, marks: pd.DataFrame) -> pd.DataFrame:
    """Whatever a rule of any run may ask for, rows as in `images`: also columns that today are no condition any more,
    such as a camera of which only one is left."""
    table = pd.concat([images[["image_id", "label", "group"]], attributes, marks, images], axis=1)
    return table.loc[:, ~table.columns.duplicated()].reset_index(drop=True)


def _found(val: Val, slices: pd.DataFrame, explanations: pd.DataFrame) -> list[Found]:
    """The confirmed slices, each with the groups of the half of val that its frozen rule was proposed on."""
    half, groups = halves(val.fold), hashed(val.groups)
    rules, words = frozen_rules(explanations), explanations.set_index("slice")["words"]
    found = []
    for name, rule in rules.items():
        own = slices[(slices["slice"] == name) & (slices["rule"].map(Rule.parse) == rule)]
        unseen = half[np.isin(val.fold, own["fold"])][:1]  # the half that it was applied to
        found.append(Found(name, str(words[name]), rule, frozenset(groups[half != unseen[0]].tolist())))
    return found


def run(
    config: Config,
    context: Context,
    *,
    images: pd.DataFrame,
    attributes: pd.DataFrame,
    splits: pd.DataFrame,
    classes: dict[str, list[str]],
    predictions: pd.DataFrame,
    metrics: dict[str, Any],
    embeddings: NDArray[np.float32],
    label_issues: pd.DataFrame,
    probed: pd.DataFrame,
    responses: NDArray[np.int16],
    marks: pd.DataFrame,
    slices: pd.DataFrame,
    explanations: pd.DataFrame,
) -> Made:
    """Make `followed` (see `pipeline.slicing.track`) and `proposers`: the groups that say nothing about a slice."""
    last, why = previous(context.home / context.run_id), None
    try:
        earlier = _earlier(last)
    except (InputError, KeyError, TypeError, ValueError) as error:
        earlier, last, why = [], None, f"the run before cannot be read: {error}"
        context.note(why)
    table, names, costs = _columns(images, attributes, marks), classes["names"], metrics.get("costs")
    val = validation(table, splits, names, predictions, label_issues, probed, responses, costs)
    found = _found(val, slices, explanations)
    asked = [*(item.rule for item in found), *(track.rule for track in earlier)]
    near = {name: away[val.rows] for name, away in near_photos(table, asked, embeddings).items()}
    tracks = followed(Today(context.run_id, val, near, config.gone, config.same), found, earlier)
    for track in tracks:
        if last and track.state in ALARMS:
            context.note(f"{track.state} since run {last.run_id}: {track.words}")
    seen = [(track.since, track.first, group) for track in tracks for group in sorted(track.seen)]
    why = why or (None if last else "no earlier run of this name followed its slices")
    return {
        "followed": {"previous": last.run_id if last else None, "why": why, "slices": [t.record() for t in tracks]},
        "proposers": pd.DataFrame(seen, columns=["since", "first", "group"]).astype("str"),
    }
