"""The demo's simulator: the same gate and cameras, other people, in a light or at a tilt that is asked for.

It knows how its cameras and lamp see, and nothing of a data set: not when, how often or how strongly anything was
planted there. Doses come from the asker alone, and what a person wears is drawn evenly.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from pipeline.contracts import InputError
from pipeline.datasets.gate_camera import develop
from pipeline.datasets.gate_plan import CAMERAS, COURIERS, EMPLOYEE, FIRST_DAY, VISITORS, Filed, Visit
from pipeline.datasets.simulator import Simulated, Wanted

SIMULATES = ("exposure", "rotation")
_BEYOND = 1_000_000
"""Visits are numbered from here: what is drawn follows from the number, and no data set has as many."""
_WEAR = {"badge": (EMPLOYEE,), "no_badge": VISITORS + COURIERS}


def _visit(wanted: Wanted, number: int, dose: float, rng: np.random.Generator) -> Visit:
    """One person at noon or, in less light than by day, under the lamp at midnight."""
    gain, tilt = (dose, 0.0) if wanted.condition == "exposure" else (1.0, -dose)  # remedies turn anticlockwise
    night = gain < 1
    at = FIRST_DAY + timedelta(hours=0.0 if night else 12.0)
    wears = str(rng.choice(_WEAR[wanted.label]))
    return Visit(_BEYOND + number, "train", str(rng.choice(CAMERAS)), at, wears, night, tilt != 0, gain, tilt, 1)


def simulate(wanted: Wanted) -> Iterator[Simulated]:
    """People with a badge or without, one photo each. Raises `InputError` for another class or condition."""
    if wanted.label not in _WEAR or wanted.condition not in SIMULATES:
        raise InputError(f"the gate's simulator draws no {wanted.label!r} under {wanted.condition!r}")
    rng = np.random.default_rng([wanted.seed, 25, SIMULATES.index(wanted.condition), [*_WEAR].index(wanted.label)])
    start = int(rng.integers(1_000_000_000))  # so that no two calls draw the same person
    for number in range(start, start + wanted.photos):
        if wanted.condition == "exposure":
            dose = float(np.exp(rng.uniform(np.log(wanted.low), np.log(wanted.high))))
        else:
            dose = float(rng.uniform(wanted.low, wanted.high))
        dose = float(np.clip(dose, wanted.low, wanted.high))
        visit = _visit(wanted, number, dose, rng)
        yield Simulated(develop(Filed("", visit, 0, visit.label), wanted.seed), dose)
