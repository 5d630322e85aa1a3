"""Does undoing a possible cause repair a slice more than any handling of the same images does?

Failures are selected, so any perturbation repairs some. The control is therefore what the other interventions do to the
same images, each remedy at the strength that repairs most failures of val. Images outside would be no control here: where a
cause makes most failures of val, those that a rule misses lie outside it, and are repaired as well (measured on images
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
from pipeline.domain.rules import iterate_rows
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.causes.cause_naming import MIN_ACCURACY_LOSS, CauseCandidate
from pipeline.statistics.group_intervals import estimate_cluster_mean
from pipeline.statistics.multiple_testing import adjust_holm

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
MIN_FAILING_GROUPS = 5  # with a failing image, at least


@dataclass(frozen=True)
class InterventionTools:
    """What the finder borrows: pixels of `images` [N, S, S, 3]; treat(remedy, pixels, low, high, seed) -> pixels;
    measure(pixels [n, S, S, 3]) -> float [n, attributes]; guess(pixels) -> class index [n], None where there is no
    model to ask; embed(pixels) -> frozen packaged features, float [n, D], None where causes are told by attributes
    alone."""

    pixels: Pixels
    apply_remedy: Callable[[str, Pixels, float, float, int], Pixels]
    measure_attributes: Callable[[Pixels], Floats]
    predict_labels: Callable[[Pixels], NDArray[np.intp]] | None
    embed_images: Callable[[Pixels], NDArray[np.float32]] | None = None

    def describe_images(self, pixels: Pixels) -> Floats:
        """float [n, attributes + D]: all that tells one treatment from another."""
        return np.hstack(
            [
                self.measure_attributes(pixels),
                *([self.embed_images(pixels)] if self.embed_images else []),
            ]
        )


def find_nearest_intervention(
    interventions: pd.DataFrame, remedy: str, strength: float | None
) -> int | None:
    """The row of the probed intervention nearest to a strength; None where the remedy was not probed."""
    near = interventions[interventions["remedy"] == remedy]["strength"]
    if strength is None or near.empty:
        return None
    return int(near.index[int(np.argmin(np.abs(near.to_numpy() - strength)))])


def find_inverse_intervention(interventions: pd.DataFrame, candidate: CauseCandidate) -> int | None:
    """The probed intervention that undoes a rival; None where no inverse exists."""
    return find_nearest_intervention(
        interventions,
        candidate.remedy,
        plugins.load_plugin("remedies", candidate.remedy).invert_strength(candidate.strength),
    )


def evaluate_other_remedies(
    val: ValidationSet,
    failing_rows: NDArray[np.intp],
    tools: InterventionTools,
    interventions: pd.DataFrame,
    seed: int,
) -> dict[str, NDArray[np.bool_]]:
    """bool [rows] by remedy: whether a failing image of val is read rightly after it, at the strength that repairs most of
    all probed failures; nothing where there are no rows."""
    if not len(failing_rows):
        return {}
    failing, after = ~val.probe_results.correct, val.probe_results.after
    share = pd.Series(after[failing].mean(0) if failing.any() else 0.0, interventions.index)
    best = interventions.loc[share.groupby(interventions["remedy"], sort=False).idxmax()]
    return {
        str(r.remedy): _evaluate_repair(
            val, failing_rows, tools, (str(r.remedy), float(r.strength)), seed
        )
        for r in iterate_rows(best)
    }


def _evaluate_repair(
    val: ValidationSet,
    failing_rows: NDArray[np.intp],
    tools: InterventionTools,
    intervention: tuple[str, float],
    seed: int,
) -> NDArray[np.bool_]:
    name, strength = intervention
    treated = tools.apply_remedy(
        name, np.asarray(tools.pixels[val.image_rows[failing_rows]]), strength, strength, seed
    )
    return (
        np.asarray(tools.predict_labels(treated) == val.labels[failing_rows])
        if tools.predict_labels
        else np.zeros(len(failing_rows), bool)
    )


def measure_repair(
    val: ValidationSet,
    failing_rows: NDArray[np.intp],
    candidate: CauseCandidate,
    tools: InterventionTools,
    other_repairs: dict[str, NDArray[np.bool_]],
    seed: int,
) -> tuple[float | None, float | None]:
    """How much more of a slice's failures (`rows` of val) the exact inverse of a rival repairs than other interventions
    do on average (`handled`), and one-sided p by group; None where it cannot be judged."""
    strength = plugins.load_plugin("remedies", candidate.remedy).invert_strength(candidate.strength)
    if strength is None or not len(failing_rows):
        return None, None
    mean = np.mean(
        [after for name, after in other_repairs.items() if name != candidate.remedy], axis=0
    )
    gain = estimate_cluster_mean(
        _evaluate_repair(val, failing_rows, tools, (candidate.remedy, strength), seed) - mean,
        val.groups[failing_rows],
    )
    if not gain.groups >= MIN_FAILING_GROUPS or not gain.variance > 0:
        return None, None
    return gain.value, float(stats.t.sf(gain.value / np.sqrt(gain.variance), gain.groups - 1))


def add_repairs(
    val: ValidationSet,
    failing_rows: NDArray[np.intp],
    candidates: list[CauseCandidate],
    tools: InterventionTools,
    other_repairs: dict[str, NDArray[np.bool_]],
    seed: int,
) -> list[CauseCandidate]:
    """Add the repair of the failures `rows` by each rival that reproduces them and can be undone; others: `handled`.

    p is corrected over those rivals (Holm)."""
    asked = [r.is_invertible and r.reproduces >= MIN_ACCURACY_LOSS for r in candidates]
    if not any(asked) or not len(failing_rows):
        return candidates
    found = [
        measure_repair(val, failing_rows, rival, tools, other_repairs, seed)
        if ask
        else (None, None)
        for rival, ask in zip(candidates, asked, strict=True)
    ]
    adjusted = adjust_holm([p for _, p in found])
    return [
        replace(r, repairs=effect, p_repairs=None if np.isnan(p) else float(p))
        for r, (effect, _), p in zip(candidates, found, adjusted, strict=True)
    ]
