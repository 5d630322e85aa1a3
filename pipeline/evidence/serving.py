"""What a model does at the gate: whom it answers, and what a correction of the photo brings it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.evidence.costs import worth
from pipeline.evidence.intervals import cluster_mean
from pipeline.evidence.selective import answered, decline_rule, sure_enough
from pipeline.evidence.trial import Judged, Mask, Trial

Ask = Callable[[str, dict[str, Any], Mask], NDArray[np.intp]]
"""(arm, correction, inside [n]) -> class index of each photo inside, after the correction."""

Light = NDArray[np.float64] | None
FORCES = ("before", "targeted")
"""The arms of which one will be in force."""


def in_force(trial: Trial) -> list[Judged]:
    """The model before, and the first targeted one where arms are compared."""
    return [trial.of(arm)[0] for arm in FORCES if trial.of(arm)]


def _sure(model: Judged, trial: Trial) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Worth of each answer, and confidence."""
    confidence = softmax(model.logits.astype(np.float64) / model.temperature, axis=1).max(1)
    return worth(trial.truth, model.logits.argmax(1), trial.costs), confidence


def declined(
    val: Trial, test: Trial | None, target: float, light: tuple[Light, Light] = (None, None)
) -> dict[str, dict[str, Any]]:
    """The decline rule of each arm that may be in force, chosen on val for the target error; `test`: its coverage and
    error there, with the interval by group, or None while sealed. light: mean luminance of the photos of val and of
    test, None where it is not measured."""
    found: dict[str, dict[str, Any]] = {}
    for model in in_force(val):
        rule, seen = decline_rule(*_sure(model, val), target, light[0]), None
        there = next((m for m in in_force(test) if m.arm == model.arm), None) if test else None
        if test and there:
            right, confidence = _sure(there, test)
            seen = answered(right, test.groups, sure_enough(rule, confidence, light[1]))
        found[model.arm] = {**rule, "test": seen}
    return found


def corrected(
    trial: Trial, masks: Mapping[str, Mask], corrections: Sequence[dict[str, Any]], ask: Ask
) -> list[dict[str, Any]]:
    """What each correction brings each arm where its condition is met: {slice, arm, n, gain by group, helps}.

    masks: bool [n] for each slice, by the image part of its rule alone.
    """
    found = []
    for item in corrections:
        inside = masks[item["slice"]]
        for model in in_force(trial) if inside.any() else []:
            truth, said = trial.truth[inside], model.logits[inside].argmax(1)
            after = worth(truth, ask(model.arm, item, inside), trial.costs)
            change = after - worth(truth, said, trial.costs)
            gain = cluster_mean(change, trial.groups[inside], bounds=(-1.0, 1.0))
            told = {"slice": item["slice"], "arm": model.arm, "n": int(inside.sum()), "gain": gain.record()}
            found.append({**told, "helps": bool(gain.low > 0)})
    return found
