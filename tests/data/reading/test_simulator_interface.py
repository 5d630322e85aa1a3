"""Simulators: pipeline/data/reading/simulator_interface.py."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import InputError, StageContext
from pipeline.data.reading.simulator_interface import (
    SimulatedImage,
    SimulationRequest,
    find_simulators,
    simulate_copies,
    simulate_plan_images,
)
from pipeline.demo import gate_dataset

REQUEST = SimulationRequest("exposure", "badge", 0.1, 0.3, 4, 0)
REPOSITORY = Path(__file__).resolve().parents[3]


def _encode_gray(level: int) -> bytes:
    return bytes(cv2.imencode(".png", np.full((40, 20, 3), level, np.uint8))[1].tobytes())


def test_copies_are_letterboxed_and_hashed() -> None:
    copies = list(simulate_copies("gate", REQUEST, 32))
    assert [copy.pixels.shape for copy in copies] == [(32, 32, 3)] * 4
    assert len({copy.content_hash for copy in copies}) == 4


def test_image_of_the_data_set_is_refused() -> None:
    copies = list(simulate_copies("gate", REQUEST, 32))
    with pytest.raises(InputError, match=r"prescribe\.simulator: .*an image of the data set"):
        list(simulate_copies("gate", REQUEST, 32, {copies[2].content_hash}))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([SimulatedImage(_encode_gray(9), 0.2)] * 3, "3 of 4 images"),
        ([SimulatedImage(_encode_gray(9), 0.5)] * 4, "strength 0.5"),
        ([SimulatedImage(b"no image", 0.2)] * 4, "no usable image"),
    ],
)
def test_images_that_break_the_request_are_refused(
    images: list[SimulatedImage], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def simulate_images(request: SimulationRequest) -> Iterator[SimulatedImage]:
        yield from images

    monkeypatch.setattr(gate_dataset, "simulate_images", simulate_images)
    prefix = "gate, for condition exposure of class badge"
    with pytest.raises(InputError, match=f"{prefix}, drew .*{message}"):
        list(simulate_copies("gate", REQUEST, 32))


def test_plan_gets_equally_many_images_of_each_class(tmp_path: Path) -> None:
    plan = pd.DataFrame(
        {
            "slice": ["s1", "s1", "s2"],
            "simulator": ["gate", "gate", None],
            "remedy": ["exposure", "exposure", "blur"],
            "strength_low": [0.2, 0.2, 1.0],
            "strength_high": [0.4, 0.4, 2.0],
        }
    )
    context = StageContext("run", 0, tmp_path, tmp_path)
    table, pixels = simulate_plan_images(plan, ["badge", "no_badge"], 3, 32, context, ())
    assert table["label"].value_counts().to_dict() == {"badge": 3, "no_badge": 3}
    assert table["slice"].unique().tolist() == ["s1"]
    assert table["strength"].between(0.2, 0.4).all()
    assert pixels.shape == (6, 32, 32, 3)


def test_plan_without_simulators_gets_no_images(tmp_path: Path) -> None:
    columns = ("slice", "simulator", "remedy", "strength_low", "strength_high")
    plan = pd.DataFrame(columns=list(columns))
    context = StageContext("run", 0, tmp_path, tmp_path)
    table, pixels = simulate_plan_images(plan, ["a", "b"], 3, 32, context, ())
    assert table.empty
    assert pixels.shape == (0, 32, 32, 3)


PLUGIN_CODE = """
import io
import numpy as np
from PIL import Image
from pipeline.data import SimulatedImage
SIMULATED_CONDITIONS = ("blur",)
def can_read(root):
    return None
def read_images(root):
    yield from ()
def simulate_images(request):
    rng = np.random.default_rng(request.seed)
    for _ in range(request.image_count):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (30, 30, 3), dtype=np.uint8)).save(file, "PNG")
        yield SimulatedImage(file.getvalue(), request.low)
"""
USER_CODE = """
from pipeline.data.reading.simulator_interface import (
    SimulationRequest, find_simulators, simulate_copies)
from pipeline.stages.prescribe import Config
request = SimulationRequest("blur", "x", 1.0, 2.0, 5, 0)
print(find_simulators())
print(len(list(simulate_copies("fogbank", request, 16))))
print(Config(simulator="fogbank", simulated_share=0.5).simulator)
"""


def test_adapter_of_another_package_may_be_a_simulator(tmp_path: Path) -> None:
    (tmp_path / "outside_fogbank.py").write_text(PLUGIN_CODE)
    info = tmp_path / "outside_fogbank-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-fogbank\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[nightshift.adapters]\nfogbank = outside_fogbank\n")
    done = subprocess.run(
        [sys.executable, "-c", USER_CODE],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(tmp_path)])},
        capture_output=True,
        text=True,
        check=True,
    )
    simulators = find_simulators() | {"fogbank": ("blur",)}
    assert done.stdout.splitlines() == [str(simulators), "5", "fogbank"]
