"""Which corrections a graph can carry, found by trying: each is kept only if it does what predict does.

Inside a graph there is the model's small copy of the photo, and nothing else: no hour, no camera, no stored size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import albumentations as A
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.learning.measures import MEASURES
from pipeline.learning.served import Change, Correction, Resampled, Spread, Table, admitted, changed
from pipeline.remedies import treat
from pipeline.slicing.rules import Rule

Pixels = NDArray[np.uint8]
TRIED = 32  # photos on which a remedy inside the graph is compared with the remedy itself
OFF = 1e-3  # share of pixels that may differ there, by one grey level: OpenCV interpolates in fewer bits
ELSEWHERE = 0.05  # share of val that the condition may take for the other side, measured on the small copies


@dataclass(frozen=True)
class Val:
    """The photos of val: pixels uint8 [N, S, S, 3] as the model sees them, frame: what rules ask, as stored."""

    pixels: Pixels
    frame: pd.DataFrame


@dataclass(frozen=True)
class Carried:
    """corrections: those inside the graph, in order. told: all of them in words, for the file and its reader:
    {slice, when, words, carried, elsewhere (photos of val on the condition's other side), of, why (left out)}."""

    corrections: tuple[Correction, ...]
    told: tuple[dict[str, Any], ...]

    @property
    def left_out(self) -> list[dict[str, Any]]:
        """Those that the graph cannot make."""
        return [item for item in self.told if not item["carried"]]


def _table(remedy: str, dose: float) -> Change:
    """Each value by the remedy itself: a picture that holds every one."""
    every = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 16, 16, 3)
    return Table(treat(remedy, every, dose, dose, seed=0).reshape(256, 3))


def _resampled(transform: A.BasicTransform, side: int) -> Change:
    """Where each pixel is taken from: the transform of two pictures, of places and (finer) of odd against even ones."""
    moves = A.Compose([transform], seed=0, strict=True)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    pictures = (np.stack([x, y, x], -1) / (side - 1), np.stack([x, y, x], -1) % 2)
    coarse, odd = (moves(image=picture)["image"][..., :2].astype(np.float64) for picture in pictures)
    whole = np.clip(np.floor(coarse * (side - 1)), 0, side - 2)
    return Resampled(whole + np.where(whole % 2, 1 - odd, odd))


def _forms(remedy: str, dose: float, side: int) -> Iterator[Change]:
    """What the remedy might be."""
    yield _table(remedy, dose)
    yield Spread(dose)
    transform = plugins.load("remedies", remedy)(dose, dose)
    if isinstance(transform, A.DualTransform):  # one that moves pixels, and takes fractions too
        yield _resampled(transform, side)


def change_of(remedy: str, dose: float, photos: Pixels) -> Change | None:
    """The remedy at this dose as a module that does to `photos` uint8 [N, S, S, 3] what the remedy does, or None."""
    want = treat(remedy, photos, dose, dose, seed=0).astype(np.float32)
    for form in _forms(remedy, dose, photos.shape[1]):
        off = np.abs(changed(form, photos) - want)
        if off.max() <= 1 and (off > 0).mean() <= OFF:
            return form
    return None


def _unmeasured(rule: Rule) -> str:
    """Why the rule's condition cannot be asked of the small copy, or nothing."""
    lacking = [c.words() for c in rule.conditions if c.op in ("near", "is") or c.column not in MEASURES]
    return f"{' and '.join(lacking)} cannot be told from the model's pixels" if lacking else ""


def _elsewhere(rule: Rule, val: Val) -> int:
    """Photos of val for which the condition answers otherwise on the small copy than on the photo as stored."""
    asked = [(c.column, c.op, c.value) for c in rule.conditions]
    return int((admitted(asked, val.pixels) != rule.image_mask(val.frame)).sum())


def _judged(item: Mapping[str, Any], rule: Rule, val: Val) -> tuple[Correction | None, dict[str, Any]]:
    told = {"slice": item["slice"], "when": Rule(rule.conditions).words(), "words": item["words"]}
    count, change = len(val.frame), None
    why, elsewhere = _unmeasured(rule), None
    if not why:
        elsewhere = _elsewhere(rule, val)
        if elsewhere > ELSEWHERE * count:
            why = f"on the model's pixels the condition takes {elsewhere} of {count} photos of val for its other side"
    if not why:
        change = change_of(item["remedy"], float(item["dose"]), val.pixels[:TRIED])
        why = "" if change else f"{item['remedy']} has no counterpart in the graph that does the same"
    told |= {"carried": not why, "elsewhere": elsewhere, "of": count, "why": why}
    asked = tuple((c.column, c.op, c.value) for c in rule.conditions)
    return (Correction(asked, change) if change else None), told


def carry(corrections: Sequence[Mapping[str, Any]], rules: Mapping[str, Rule], val: Val) -> Carried:
    """What of a policy's corrections a graph can make. rules: of each slice, as predict knows them."""
    judged = [_judged(item, rules[item["slice"]], val) for item in corrections]
    return Carried(tuple(made for made, _ in judged if made), tuple(told for _, told in judged))
