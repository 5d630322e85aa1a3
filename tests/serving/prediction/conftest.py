import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.domain.rules import Condition, Rule
from pipeline.learning.models.backbone import build_network, save_model
from tests.night import image

CLASSES = ["lying", "standing"]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a promoted model: it brightens dark images and declines at low confidence."""
    folder = tmp_path_factory.mktemp("home") / "runs" / "run1" / "promote" / "bundle"
    network, meta = build_network("test_efficientnet", "none", CLASSES, 48, 0.0, seed=3)
    meta["temperature"] = 1e-4  # spreads the scores of an untrained network
    save_model(folder, network, meta)
    dark = Rule((Condition("luminance", "<=", 45),)).dump_json()
    door = Rule((Condition("door", "is", "east"),)).dump_json()
    policy: dict[str, Any] = {
        "decline": {"threshold": 0.8},
        "corrections": [
            {"slice": "s1", "remedy": "exposure", "strength": 4.0, "words": "exposure x4"}
        ],
    }
    slices = [
        {"slice": "s1", "words": "Too dark.", "rule": dark},
        {"slice": "s2", "words": "East.", "rule": door},
    ]
    record = {**meta, "bundle_format": 2, "run_id": "run1", "policy": policy, "slices": slices}
    (folder / "bundle.json").write_text(json.dumps(record))
    pointer = {"run_id": "run1", "bundle": "runs/run1/promote/bundle", "champion": "candidate"}
    (folder.parents[2] / "champions").mkdir()
    (folder.parents[2] / "champions" / "gate.json").write_text(json.dumps(pointer))
    return folder


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images of 48 px, every third one dark, and a broken one."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(5)
    for k in range(12):
        pixels = image(CLASSES[k % 2], k % 3 == 0, rng)
        cv2.imwrite(str(folder / f"{k:02d}.png"), pixels[:, :, ::-1])
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def write_bundle(bundle: Path, folder: Path, **changes: Any) -> Path:
    """Copy a bundle into `folder` with other values in its record."""
    shutil.copytree(bundle, folder)
    record = json.loads((bundle / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(record | changes))
    return folder
