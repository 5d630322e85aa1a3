"""Runs of one name, drawn from the numbers of dark images and of misclassified images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pipeline.domain.rules import Condition, Rule
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.tracking.slice_history import TrackedSlice
from pipeline.slices.tracking.slice_matching import ConfirmedSlice, CurrentRun, track_slices
from tests.helpers.validation_sets import make_validation_set

DARK = Rule((Condition("luminance", "<=", 50),))
WORDS = "Too dark: 40 of 80 images are misclassified."


def drawn_val(
    dark: int, wrong: int, others: int = 300, lit_wrong: int = 9, seed: int = 0, **columns: Any
) -> ValidationSet:
    """Return a set with two images a group, `wrong` dark and `lit_wrong` others misclassified."""
    rng, n = np.random.default_rng(seed), dark + others
    at = np.arange(n)
    failing = np.zeros(n, bool)
    failing[rng.choice(dark, wrong, replace=False)] = True
    failing[dark + rng.choice(others, lit_wrong, replace=False)] = True
    frame = pd.DataFrame(
        {"image_id": [f"i{k}" for k in at], "label": np.array(["a", "b"])[at // 2 % 2]}
    )
    frame = frame.assign(
        group=[f"g{k // 2}" for k in at], luminance=np.where(at < dark, 25.0, 120.0), **columns
    )
    truth = (at // 2 % 2).astype(np.intp)
    guess = np.where(failing, 1 - truth, truth)
    return make_validation_set(frame, truth, guess, folds=at // 2 % 5)


def today(run_id: str, val: ValidationSet, **near: Any) -> CurrentRun:
    """Return the run's predictions with the default limits."""
    return CurrentRun(run_id, val, near, closing_limit=0.1, min_overlap=0.5)


def found(
    rule: Rule = DARK, name: str = "s1", words: str = WORDS, seen: frozenset[str] = frozenset()
) -> ConfirmedSlice:
    """Return a slice that a run confirmed."""
    return ConfirmedSlice(name, words, words.partition(":")[0], rule, seen)


def after(*runs: tuple[ValidationSet, list[ConfirmedSlice]]) -> list[list[TrackedSlice]]:
    """Return the tracked slices after each of these runs (r1, r2, ...)."""
    left: list[list[TrackedSlice]] = [[]]
    for number, (val, confirmed) in enumerate(runs, 1):
        left.append(track_slices(today(f"r{number}", val), confirmed, left[-1]))
    return left[1:]


def drawn_tracking(words: str = WORDS) -> dict[str, Any]:
    """Return the artifact `followed` of a fourth run: one slice is back, another one was lost."""
    dark, cut = (
        found(words=words),
        found(Rule((Condition("camera", "is", "north"),)), "s2", "Camera north: 9 of 40."),
    )
    sides = np.array(["south", "north"])
    cameras = {"camera": sides[np.arange(380) % 4 // 2]}
    two = (
        drawn_val(80, 40, **cameras),
        drawn_val(80, 24, **cameras),
        drawn_val(80, 0),
        drawn_val(80, 44),
    )
    left = after((two[0], [dark, cut]), (two[1], [dark]), (two[2], []), (two[3], [dark]))
    return {
        "previous": "r3",
        "reason": None,
        "slices": [track.build_record() for track in left[-1]],
    }
