"""Does undoing a possible cause repair a slice more than any handling of the same photos does?

Failures are selected, so any perturbation repairs some. The control is therefore what the other interventions do to the
same photos, each remedy at the dose that repairs most failures of val. Photos outside would be no control here: where a
cause makes most failures of val, those that a rule misses lie outside it, and are repaired as well (measured on photos
of one class darkened to a tenth: the inverse repairs nine tenths, over equally unsure outsiders nothing).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pipeline import plugins
from pipeline.evidence.intervals import cluster_mean
from pipeline.evidence.multiple import holm
from pipeline.slicing.name import REPRODUCES, Rival
from pipeline.slicing.rules import named_rows
from pipeline.slicing.validation import Val

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
GROUPS = 5  # with a failing photo, at least


@dataclass(frozen=True)
class Tools:
    """What the finder borrows: pixels of `images` [N, S, S, 3]; treat(remedy, pixels, low, high, seed) -> pixels;
    measure(pixels [n, S, S, 3]) -> float [n, attributes]; guess(pixels) -> class index [n], None where there is no
    model to ask; features: frozen packaged ones of `images` [N, D], None where they are not asked for; embed(pixels)
    -> the same of any pixels, float [n, D], None where causes are told by attributes alone."""

    pixels: Pixels
    treat: Callable[[str, Pixels, float, float, int], Pixels]
    measure: Callable[[Pixels], Floats]
    guess: Callable[[Pixels], NDArray[np.intp]] | None
    features: NDArray[np.float32] | None = None
    embed: Callable[[Pixels], NDArray[np.float32]] | None = None

    def described(self, pixels: Pixels) -> Floats:
        """float [n, attributes + D]: all that tells one treatment from another."""
        return np.hstack([self.measure(pixels), *([self.embed(pixels)] if self.embed else [])])


def nearest(interventions: pd.DataFrame, remedy: str, dose: float | None) -> int | None:
    """The row of the probed intervention nearest to a dose; None where the remedy was not probed."""
    near = interventions[interventions["remedy"] == remedy]["dose"]
    if dose is None or near.empty:
        return None
    return int(near.index[int(np.argmin(np.abs(near.to_numpy() - dose)))])


def undoing(interventions: pd.DataFrame, rival: Rival) -> int | None:
    """The probed intervention that undoes a rival; None where no inverse exists."""
    return nearest(interventions, rival.remedy, plugins.module("remedies", rival.remedy).inverse(rival.dose))


def handled(
    val: Val, rows: NDArray[np.intp], tools: Tools, interventions: pd.DataFrame, seed: int
) -> dict[str, NDArray[np.bool_]]:
    """bool [rows] by remedy: whether a failing photo of val is read rightly after it, at the dose that repairs most of
    all probed failures; nothing where there are no rows."""
    if not len(rows):
        return {}
    share = pd.Series(
        val.probe.after[~val.probe.correct].mean(0) if not val.probe.correct.all() else 0.0, interventions.index
    )
    best = interventions.loc[share.groupby(interventions["remedy"], sort=False).idxmax()]
    return {str(r.remedy): _mended(val, rows, tools, (str(r.remedy), float(r.dose)), seed) for r in named_rows(best)}


def _mended(
    val: Val, rows: NDArray[np.intp], tools: Tools, intervention: tuple[str, float], seed: int
) -> NDArray[np.bool_]:
    name, dose = intervention
    treated = tools.treat(name, np.asarray(tools.pixels[val.rows[rows]]), dose, dose, seed)
    return np.asarray(tools.guess(treated) == val.truth[rows]) if tools.guess else np.zeros(len(rows), bool)


def repair_of(
    val: Val, rows: NDArray[np.intp], rival: Rival, tools: Tools, others: dict[str, NDArray[np.bool_]], seed: int
) -> tuple[float | None, float | None]:
    """How much more of a slice's failures (`rows` of val) the exact inverse of a rival repairs than other interventions
    do on average (`handled`), and one-sided p by group; None where it cannot be judged."""
    dose = plugins.module("remedies", rival.remedy).inverse(rival.dose)
    if dose is None or not len(rows):
        return None, None
    mean = np.mean([after for name, after in others.items() if name != rival.remedy], axis=0)
    gain = cluster_mean(_mended(val, rows, tools, (rival.remedy, dose), seed) - mean, val.groups[rows])
    if not gain.groups >= GROUPS or not gain.variance > 0:
        return None, None
    return gain.value, float(stats.t.sf(gain.value / np.sqrt(gain.variance), gain.groups - 1))


def with_repairs(
    val: Val,
    rows: NDArray[np.intp],
    rivals: list[Rival],
    tools: Tools,
    others: dict[str, NDArray[np.bool_]],
    seed: int,
) -> list[Rival]:
    """Add the repair of the failures `rows` by each rival that reproduces them and can be undone; others: `handled`.

    p is corrected over those rivals (Holm)."""
    asked = [r.invertible and r.reproduces >= REPRODUCES for r in rivals]
    if not any(asked) or not len(rows):
        return rivals
    found = [
        repair_of(val, rows, rival, tools, others, seed) if ask else (None, None)
        for rival, ask in zip(rivals, asked, strict=True)
    ]
    adjusted = holm([p for _, p in found])
    return [
        replace(r, repairs=effect, p_repairs=None if np.isnan(p) else float(p))
        for r, (effect, _), p in zip(rivals, found, adjusted, strict=True)
    ]
