"""Runs of one name drawn from numbers: how many photos are dark, and how many of these and of the others fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pipeline.slicing.confirm import Probe
from pipeline.slicing.following import Found, Today, followed
from pipeline.slicing.rules import Condition, Rule
from pipeline.slicing.track import Track
from pipeline.slicing.validation import Val

DARK = Rule((Condition("luminance", "<=", 50),))
WORDS = "Too dark: 40 of 80 photos are misread."


def drawn_val(dark: int, wrong: int, others: int = 300, lit_wrong: int = 9, seed: int = 0, **columns: Any) -> Val:
    """Two photos of each group; `wrong` of the `dark` ones and `lit_wrong` of the `others` are misread."""
    rng, n = np.random.default_rng(seed), dark + others
    at = np.arange(n)
    failing = np.zeros(n, bool)
    failing[rng.choice(dark, wrong, replace=False)] = True
    failing[dark + rng.choice(others, lit_wrong, replace=False)] = True
    frame = pd.DataFrame({"image_id": [f"i{k}" for k in at], "label": np.array(["a", "b"])[at // 2 % 2]})
    frame = frame.assign(group=[f"g{k // 2}" for k in at], luminance=np.where(at < dark, 25.0, 120.0), **columns)
    truth = (at // 2 % 2).astype(np.intp)
    probe = Probe(~failing, np.zeros((n, 0), bool), np.ones(n), at // 2, np.ones(n))
    guess = np.where(failing, 1 - truth, truth)
    return Val(frame, at, at // 2 % 5, truth, guess, probe, at, np.ones(n, bool), ("a", "b"))


def today(run_id: str, val: Val, **near: Any) -> Today:
    """That run's answers, judged as by the defaults."""
    return Today(run_id, val, near, gone=0.1, same=0.5)


def found(rule: Rule = DARK, name: str = "s1", words: str = WORDS, seen: frozenset[str] = frozenset()) -> Found:
    """A slice that a run confirmed."""
    return Found(name, words, rule, seen)


def after(*runs: tuple[Val, list[Found]]) -> list[list[Track]]:
    """What each of these runs (r1, r2, ...) left, in their order."""
    left: list[list[Track]] = [[]]
    for number, (val, confirmed) in enumerate(runs, 1):
        left.append(followed(today(f"r{number}", val), confirmed, left[-1]))
    return left[1:]


def drawn_tracking(words: str = WORDS) -> dict[str, Any]:
    """The artifact `followed` of a fourth run: a slice that was closed and is back, and one lost of sight."""
    dark, cut = found(words=words), found(Rule((Condition("camera", "is", "north"),)), "s2", "Camera north: 9 of 40.")
    sides = np.array(["south", "north"])
    cameras = {"camera": sides[np.arange(380) % 4 // 2]}
    two = drawn_val(80, 40, **cameras), drawn_val(80, 24, **cameras), drawn_val(80, 0), drawn_val(80, 44)
    left = after((two[0], [dark, cut]), (two[1], [dark]), (two[2], []), (two[3], [dark]))
    return {"previous": "r3", "why": None, "slices": [track.record() for track in left[-1]]}
