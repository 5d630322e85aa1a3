"""Which treatment of good photos makes them look like a slice, and does undoing it repair the slice?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.evidence.multiple import holm
from pipeline.evidence.twosample import auc
from pipeline.slicing.confirm import effect_of
from pipeline.slicing.name import ALIKE, Rival, dose_grid, elect, order
from pipeline.slicing.rules import Mask
from pipeline.slicing.validation import Val

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Tools:
    """What the finder borrows: pixels of `images` [N, S, S, 3]; treat(remedy, pixels, low, high, seed) -> pixels;
    measure(pixels [n, S, S, 3]) -> float [n, attributes]; guess(pixels) -> class index [n]."""

    pixels: Pixels
    treat: Callable[[str, Pixels, float, float, int], Pixels]
    measure: Callable[[Pixels], NDArray[np.float64]]
    guess: Callable[[Pixels], NDArray[np.intp]]


def sample(groups: NDArray[np.str_], rows: NDArray[np.intp], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Up to `count` of `rows`, taken round robin over groups."""
    shuffled = rng.permutation(rows)
    turn = pd.Series(groups[shuffled]).groupby(groups[shuffled]).cumcount().to_numpy()
    return np.sort(shuffled[np.argsort(turn, kind="stable")][:count])


class Matcher:
    """Treats good photos of a slice's classes and compares them with the slice."""

    def __init__(self, val: Val, inside: Mask, tools: Tools, photos: int, seed: int) -> None:
        """Draw up to `photos` of the slice, and as many correct ones outside it, of its classes."""
        rng = np.random.default_rng(seed)
        self.val, self.inside, self.tools, self.seed = val, inside, tools, seed
        self.rows = sample(val.groups, np.flatnonzero(inside), photos, rng)
        good = np.flatnonzero(~inside & ~val.errors & np.isin(val.truth, val.truth[inside]))
        self.good = sample(val.groups, good, photos, rng)
        self.slice_values = tools.measure(np.asarray(tools.pixels[val.rows[self.rows]]))
        self.good_pixels = np.asarray(tools.pixels[val.rows[self.good]])

    def treat(self, remedy: str, low: float, high: float) -> Pixels:
        """The good photos, treated."""
        return self.tools.treat(remedy, self.good_pixels, low, high, self.seed)

    def alike(self, treated: Pixels) -> float:
        """Held-out AUC of telling treated good photos from the slice, by the attributes of their pixels."""
        groups = self.val.groups
        return auc(self.tools.measure(treated), self.slice_values, groups[self.good], groups[self.rows], self.seed)

    def rival(self, remedy: str, side: list[float]) -> Rival:
        """The best-matched dose on one side of neutral, and what it does to good photos."""
        plugin = plugins.module("remedies", remedy)
        scored = [(self.alike(self.treat(remedy, dose, dose)), dose) for dose in side]
        best, dose = min(scored)
        guess, truth = self.tools.guess(self.treat(remedy, dose, dose)), self.val.truth[self.good]
        broken = guess != truth
        errors = self.val.errors & self.inside
        seen = set(zip(self.val.truth[errors], self.val.guess[errors], strict=True))
        same = [pair in seen for pair in zip(truth[broken], guess[broken], strict=True)]
        below = plugin.NEUTRAL is not None and dose < plugin.NEUTRAL
        return Rival(
            remedy=remedy,
            words=plugin.WORDS[0 if below else 1],
            dose=float(dose),
            auc=best,
            reproduces=float(broken.mean()),
            confusions=float(np.mean(same)) if same else 0.0,
            invertible=plugin.inverse(dose) is not None,
        )

    def equivalents(self, best: Rival, others: list[Rival]) -> set[str]:
        """Remedies whose copies of the good photos cannot be told from the best rival's (design rule 4)."""
        mine = self.tools.measure(self.treat(best.remedy, best.dose, best.dose))
        groups = self.val.groups[self.good]
        found = set()
        for other in others:
            theirs = self.tools.measure(self.treat(other.remedy, other.dose, other.dose))
            if auc(mine, theirs, groups, groups, self.seed) <= ALIKE:
                found.add(other.remedy)
        return found

    def dose_range(self, best: Rival, side: list[float]) -> tuple[float, float]:
        """The range of doses whose copies are hardest to tell from the slice (the widest of equals)."""
        inner = sorted(side)
        ranges = [(a, b) for i, a in enumerate(inner) for b in inner[i:] if a <= best.dose <= b]
        scored = [(round(self.alike(self.treat(best.remedy, a, b)), 2), a - b, a, b) for a, b in ranges]
        _, _, low, high = min(scored)
        return low, high


def nearest(interventions: pd.DataFrame, remedy: str, dose: float | None) -> int | None:
    """The row of the probed intervention nearest to a dose; None where the remedy was not probed."""
    near = interventions[interventions["remedy"] == remedy]["dose"]
    return None if dose is None or near.empty else int(near.index[int(np.argmin(np.abs(near.to_numpy() - dose)))])


def undoing(interventions: pd.DataFrame, rival: Rival) -> int | None:
    """The probed intervention that undoes a rival; None where no inverse exists."""
    return nearest(interventions, rival.remedy, plugins.module("remedies", rival.remedy).inverse(rival.dose))


def _with_repairs(val: Val, inside: Mask, rivals: list[Rival], interventions: pd.DataFrame, seed: int) -> list[Rival]:
    """Add the matched effect of each rival's inverse, p corrected over the rivals (Holm)."""
    effects: list[Any] = []
    for rival in rivals:
        column = undoing(interventions, rival)
        chosen = np.full(len(val.probed), -1 if column is None else column, dtype=np.intp)
        effects.append(effect_of(val.probe, chosen, inside[val.probed], seed))
    adjusted = holm([None if t is None else t.p for t in effects])
    return [
        r if t is None else replace(r, repairs=float(t.interval.value), p_repairs=None if np.isnan(p) else float(p))
        for r, t, p in zip(rivals, effects, adjusted, strict=True)
    ]


def find_causes(
    val: Val, inside: Mask, tools: Tools, interventions: pd.DataFrame, photos: int, level: float, seed: int
) -> tuple[list[Rival], tuple[float, float] | None]:
    """Every rival cause of a confirmed slice, the named ones marked, and the best one's dose range."""
    matcher = Matcher(val, inside, tools, photos, seed)
    if not len(matcher.good) or not len(matcher.rows):
        return [], None
    sides: dict[tuple[str, float], list[float]] = {}
    rivals = []
    for remedy in plugins.names("remedies"):
        plugin = plugins.module("remedies", remedy)
        for side in dose_grid(plugin.DOSES, plugin.NEUTRAL) if plugin.CAUSE else []:
            rivals.append(matcher.rival(remedy, side))
            sides[remedy, rivals[-1].dose] = side
    rivals = order(_with_repairs(val, inside, rivals, interventions, seed), level)
    if not rivals[0].passes(level):
        return rivals, None
    passing = [r for r in rivals[1:] if r.passes(level)]
    elected = elect(rivals, matcher.equivalents(rivals[0], passing), level)
    return elected, matcher.dose_range(elected[0], sides[elected[0].remedy, elected[0].dose])
