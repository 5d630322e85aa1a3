"""What a model does at the gate: whom it answers, and what a correction of the photo brings it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.evidence.costs import worth
from pipeline.evidence.intervals import cluster_mean
from pipeline.evidence.selective import answered, decline_rule, sure_enough
from pipeline.evidence.trial import Floats, Judged, Mask, Trial

Ask = Callable[[str, dict[str, Any], Mask], Floats]
"""(arm, correction, inside [n]) -> logits [photos inside, classes] after the correction."""

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
    error there, with the interval by group, or None while sealed. val, test: as `corrected` leaves them, since the
    model answers for corrected photos. light: mean luminance of the photos of val and of test, as they came, None where
    it is not measured."""
    found: dict[str, dict[str, Any]] = {}
    for model in in_force(val):
        rule, seen = decline_rule(*_sure(model, val), target, light[0]), None
        there = next((m for m in in_force(test) if m.arm == model.arm), None) if test else None
        if test and there:
            right, confidence = _sure(there, test)
            seen = answered(right, test.groups, sure_enough(rule, confidence, light[1]))
        found[model.arm] = {**rule, "test": seen}
    return found


def refused(served: Trial, rules: Mapping[str, Mapping[str, Any]], light: Light = None) -> dict[str, Mask]:
    """Whether each arm that may be in force declines, bool [n], by its rule (see `declined`)."""
    return {m.arm: ~sure_enough(rules[m.arm], _sure(m, served)[1], light) for m in in_force(served)}


def corrected(
    trial: Trial,
    masks: Mapping[str, Mask],
    corrections: Sequence[dict[str, Any]],
    ask: Ask,
    helped: Collection[tuple[str, str]] | None = None,
) -> tuple[list[dict[str, Any]], Trial]:
    """What each correction brings each arm where its condition is met: {slice, arm, n, gain by group, helps}; and the
    arms that may be in force as they answer with the corrections that help them, the first that applies to a photo.

    masks: bool [n] for each slice, by the image part of its rule alone. helped: (slice, arm) of the corrections that
    are made, from the split that chose them; by default those that help here.
    """
    found: list[dict[str, Any]] = []
    shown = {model.arm: model.logits.copy() for model in in_force(trial)}
    open_ = dict.fromkeys(shown, trial.everyone)
    for item in corrections:
        inside = masks[item["slice"]]
        for model in in_force(trial) if inside.any() else []:
            truth, said = trial.truth[inside], model.logits[inside].argmax(1)
            after = ask(model.arm, item, inside)
            change = worth(truth, after.argmax(1), trial.costs) - worth(truth, said, trial.costs)
            gain = cluster_mean(change, trial.groups[inside], bounds=(-1.0, 1.0))
            told = {"slice": item["slice"], "arm": model.arm, "n": int(inside.sum()), "gain": gain.record()}
            found.append({**told, "helps": bool(gain.low > 0)})
            if (item["slice"], model.arm) in helped if helped is not None else gain.low > 0:
                here = inside & open_[model.arm]
                shown[model.arm][here] = after[here[inside]]
                open_[model.arm] = open_[model.arm] & ~inside
    return found, replace(trial, models=[replace(model, logits=shown[model.arm]) for model in in_force(trial)])
