"""Simulators as adapters offer them: pipeline/data/reading/simulator_interface.py."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.contracts import InputError
from pipeline.data.reading.simulator_interface import (
    SimulatedImage,
    SimulationRequest,
    find_simulators,
    simulate_copies,
)
from pipeline.demo import gate_dataset

WANTED = SimulationRequest("exposure", "badge", 0.1, 0.3, 4, 0)


def _image(level: int) -> bytes:
    return bytes(cv2.imencode(".png", np.full((40, 20, 3), level, np.uint8))[1].tobytes())


def test_copies_are_letterboxed_and_known_by_their_bytes() -> None:
    copies = list(simulate_copies("gate", WANTED, 32))
    assert [c.pixels.shape for c in copies] == [(32, 32, 3)] * 4
    assert len({c.content_hash for c in copies}) == 4
    with pytest.raises(InputError, match=r"prescribe\.simulator: .*a image of the data set"):
        list(simulate_copies("gate", WANTED, 32, {copies[2].content_hash}))


@pytest.mark.parametrize(
    ("gives", "says"),
    [
        ([SimulatedImage(_image(9), 0.2)] * 3, "3 of 4 images"),
        ([SimulatedImage(_image(9), 0.5)] * 4, "gave 0.5"),
        ([SimulatedImage(b"no image", 0.2)] * 4, "gave no image"),
    ],
)
def test_a_simulator_that_does_not_keep_to_it_is_named(
    gives: list[SimulatedImage], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def own(wanted: SimulationRequest) -> Iterator[SimulatedImage]:
        yield from gives

    monkeypatch.setattr(gate_dataset, "simulate_images", own)
    with pytest.raises(
        InputError, match=f"simulator of gate, asked for exposure of class badge.*{says}"
    ):
        list(simulate_copies("gate", replace(WANTED), 32))


OUTSIDER = """
import io
import numpy as np
from PIL import Image
from pipeline.datasets import Simulated, Wanted
SIMULATES = ("blur",)
def recognizes(root):
    return None
def fogbank(root):
    yield from ()
def simulate(wanted: Wanted):
    rng = np.random.default_rng(wanted.seed)
    for _ in range(wanted.images):
        memory = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (30, 30, 3), dtype=np.uint8)).save(memory, "PNG")
        yield Simulated(memory.getvalue(), wanted.low)
"""
CODE = """
from pipeline.data.reading.simulator_interface import Wanted, simulate, simulators
from pipeline.stages.prescribe import Config
print(simulators(), len(list(simulate("fogbank", Wanted("blur", "x", 1.0, 2.0, 5, 0), 16))), Config(
    simulator="fogbank", simulated=0.5).simulator)
"""


def test_a_package_of_ones_own_may_offer_one(tmp_path: Path) -> None:
    (tmp_path / "outside_fogbank.py").write_text(OUTSIDER)
    info = tmp_path / "outside_fogbank-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-fogbank\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[nightshift.datasets]\nfogbank = outside_fogbank\n")
    root = Path(__file__).resolve().parents[2]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(tmp_path)])}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == f"{find_simulators() | {'fogbank': ('blur',)}} 5 fogbank"
