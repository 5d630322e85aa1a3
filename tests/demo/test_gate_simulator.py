"""The demo's simulator: pipeline/demo/gate_simulator.py."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from pipeline.attributes import DecodedImage, luminance, tilt
from pipeline.contracts import InputError
from pipeline.data.reading.image_decoding import decode_image
from pipeline.data.reading.simulator_interface import SimulationRequest
from pipeline.demo import gate_dataset
from pipeline.demo.gate_simulator import simulate_images
from pipeline.remedies import apply_remedy


def _simulate_images(request: SimulationRequest) -> list[DecodedImage]:
    return [
        DecodedImage(decode_image(item.data), None, 240, 240) for item in simulate_images(request)
    ]


def test_simulated_light_matches_the_requested_strength() -> None:
    light = {
        low: np.median(
            [
                luminance.measure(image)
                for image in _simulate_images(
                    SimulationRequest("exposure", "badge", low, low, 8, 0)
                )
            ]
        )
        for low in (0.1, 0.3, 1.0)
    }
    assert light[0.1] < light[0.3] / 2 < light[1.0] / 4


def test_a_tilt_has_the_sign_of_the_remedy() -> None:
    plain = np.stack(
        [
            decode_image(i.data, 224)[:224, :224]
            for i in simulate_images(SimulationRequest("rotation", "badge", 0, 0, 8, 0))
        ]
    )
    request = SimulationRequest("rotation", "badge", 20, 20, 8, 0)
    measured_tilts = [tilt.measure(image) for image in _simulate_images(request)]
    turned = [
        tilt.measure(DecodedImage(pixels, None, 224, 224))
        for pixels in apply_remedy("rotation", plain, 20, 20, 0)
    ]
    assert np.sign(np.nanmedian(measured_tilts)) == np.sign(np.nanmedian(turned)) != 0


def test_the_same_seed_draws_the_same_photos_and_another_seed_or_class_others() -> None:
    def draw(label: str, seed: int) -> set[bytes]:
        return {
            item.data
            for item in simulate_images(SimulationRequest("exposure", label, 0.2, 0.4, 5, seed))
        }

    assert draw("badge", 3) == draw("badge", 3)
    assert len(draw("badge", 3) | draw("badge", 4) | draw("no_badge", 3)) == 15


def test_nothing_drawn_is_a_photo_of_the_data_set(tmp_path: Path) -> None:
    gate_dataset.generate_dataset(tmp_path / "gate", photo_count=80, seed=0)
    known = {hashlib.sha256(p.read_bytes()).digest() for p in (tmp_path / "gate").rglob("*.jpg")}
    drawn = {
        hashlib.sha256(i.data).digest()
        for i in simulate_images(SimulationRequest("exposure", "badge", 0.5, 1.0, 40, 0))
    }
    assert not known & drawn


def test_it_knows_nothing_of_what_was_planted() -> None:
    """The simulator uses no planted share, strength or date; any strength can be drawn."""
    strengths = [
        item.strength
        for item in simulate_images(SimulationRequest("rotation", "no_badge", -80.0, -70.0, 30, 0))
    ]
    assert min(strengths) < -77
    assert max(strengths) > -73
    assert all(-80 <= strength <= -70 for strength in strengths)


@pytest.mark.parametrize(("condition", "label"), [("blur", "badge"), ("exposure", "cat")])
def test_what_it_cannot_draw_is_one_clear_line(condition: str, label: str) -> None:
    with pytest.raises(InputError, match="the gate's simulator draws no"):
        list(simulate_images(SimulationRequest(condition, label, 1, 1, 1, 0)))
