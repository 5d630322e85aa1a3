"""The demo's simulator: the same gate and cameras, other people, in a requested light or tilt.

It knows its cameras and its lamp, and nothing of a data set: not when, how often or how strongly a
condition was planted. Strengths come with the request, and cards are drawn evenly.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from pipeline.contracts import InputError
from pipeline.data.reading.simulator_interface import SimulatedImage, SimulationRequest
from pipeline.demo.gate_camera import encode_photo
from pipeline.demo.gate_plan import (
    CAMERA_NAMES,
    COURIER_CARDS,
    EMPLOYEE_CARD,
    FIRST_DAY,
    VISITOR_CARDS,
    GateVisit,
    PlannedPhoto,
)

SIMULATED_CONDITIONS = ("exposure", "rotation")
_FIRST_VISIT_NUMBER = 1_000_000
"""Visits are numbered from here.

What is drawn follows from the number, and no data set has as many.
"""
_CARDS_BY_LABEL = {"badge": (EMPLOYEE_CARD,), "no_badge": VISITOR_CARDS + COURIER_CARDS}


def _build_visit(
    request: SimulationRequest, number: int, strength: float, rng: np.random.Generator
) -> GateVisit:
    """Return one person at noon or, with less light than by day, under the lamp at midnight."""
    # Remedies rotate counterclockwise.
    gain, tilt = (strength, 0.0) if request.condition == "exposure" else (1.0, -strength)
    is_night = gain < 1
    started_at = FIRST_DAY + timedelta(hours=0.0 if is_night else 12.0)
    worn_card = str(rng.choice(_CARDS_BY_LABEL[request.label]))
    return GateVisit(
        _FIRST_VISIT_NUMBER + number,
        "train",
        str(rng.choice(CAMERA_NAMES)),
        started_at,
        worn_card,
        is_night,
        tilt != 0,
        gain,
        tilt,
        1,
    )


def simulate_images(request: SimulationRequest) -> Iterator[SimulatedImage]:
    """Yield photos of people with a badge or without, one each.

    Raises:
        InputError: the class or the condition is unknown.
    """
    if request.label not in _CARDS_BY_LABEL or request.condition not in SIMULATED_CONDITIONS:
        raise InputError(
            f"the gate's simulator draws no {request.label!r} under {request.condition!r}"
        )
    rng = np.random.default_rng(
        [
            request.seed,
            25,
            SIMULATED_CONDITIONS.index(request.condition),
            [*_CARDS_BY_LABEL].index(request.label),
        ]
    )
    start = int(rng.integers(1_000_000_000))  # so that no two calls draw the same person
    for number in range(start, start + request.image_count):
        if request.condition == "exposure":
            strength = float(np.exp(rng.uniform(np.log(request.low), np.log(request.high))))
        else:
            strength = float(rng.uniform(request.low, request.high))
        strength = float(np.clip(strength, request.low, request.high))
        visit = _build_visit(request, number, strength, rng)
        yield SimulatedImage(
            encode_photo(PlannedPhoto("", visit, 0, visit.label), request.seed), strength
        )
