"""The demo's simulator: pipeline/datasets/gate_simulator.py."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from pipeline.attributes import Shot
from pipeline.attributes.luminance import luminance
from pipeline.attributes.tilt import tilt
from pipeline.contracts import InputError
from pipeline.datasets import Wanted, decode, gate
from pipeline.datasets.gate_simulator import simulate
from pipeline.remedies import treat


def _shots(wanted: Wanted) -> list[Shot]:
    return [Shot(decode(item.data), None, 240, 240) for item in simulate(wanted)]


def test_less_light_is_as_dark_as_was_asked() -> None:
    light = {low: np.median([luminance(s) for s in _shots(Wanted("exposure", "badge", low, low, 8, 0))])
             for low in (0.1, 0.3, 1.0)}
    assert light[0.1] < light[0.3] / 2 < light[1.0] / 4


def test_a_tilt_has_the_sign_of_the_remedy() -> None:
    plain = np.stack([decode(i.data, 224)[:224, :224] for i in simulate(Wanted("rotation", "badge", 0, 0, 8, 0))])
    asked = [tilt(s) for s in _shots(Wanted("rotation", "badge", 20, 20, 8, 0))]
    turned = [tilt(Shot(p, None, 224, 224)) for p in treat("rotation", plain, 20, 20, 0)]
    assert np.sign(np.nanmedian(asked)) == np.sign(np.nanmedian(turned)) != 0


def test_the_same_seed_draws_the_same_photos_and_another_seed_or_class_others() -> None:
    def draw(label: str, seed: int) -> set[bytes]:
        return {item.data for item in simulate(Wanted("exposure", label, 0.2, 0.4, 5, seed))}

    assert draw("badge", 3) == draw("badge", 3)
    assert len(draw("badge", 3) | draw("badge", 4) | draw("no_badge", 3)) == 15


def test_nothing_drawn_is_a_photo_of_the_data_set(tmp_path: Path) -> None:
    gate.generate(tmp_path / "gate", photos=80, seed=0)
    known = {hashlib.sha256(p.read_bytes()).digest() for p in (tmp_path / "gate").rglob("*.jpg")}
    drawn = {hashlib.sha256(i.data).digest() for i in simulate(Wanted("exposure", "badge", 0.5, 1.0, 40, 0))}
    assert not known & drawn


def test_it_knows_nothing_of_what_was_planted() -> None:
    """Neither shares nor strengths nor dates: doses far from the planted ones are drawn as asked."""
    doses = [item.dose for item in simulate(Wanted("rotation", "no_badge", -80.0, -70.0, 30, 0))]
    assert min(doses) < -77
    assert max(doses) > -73
    assert all(-80 <= dose <= -70 for dose in doses)


@pytest.mark.parametrize(("condition", "label"), [("blur", "badge"), ("exposure", "cat")])
def test_what_it_cannot_draw_is_one_clear_line(condition: str, label: str) -> None:
    with pytest.raises(InputError, match="the gate's simulator draws no"):
        list(simulate(Wanted(condition, label, 1, 1, 1, 0)))
