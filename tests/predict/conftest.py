import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.learning.backbone import build, save_model
from pipeline.slicing.rules import Condition, Rule
from tests.night import photo

CLASSES = ["lying", "standing"]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A promoted model's folder: dark photos are brightened, unsure answers declined, photos of a door known again."""
    folder = tmp_path_factory.mktemp("home") / "runs" / "run1" / "promote" / "bundle"
    model, meta = build("test_efficientnet", "none", CLASSES, 48, 0.0, seed=3)
    meta["temperature"] = 1e-4
    save_model(folder, model, meta)
    dark = Rule((Condition("luminance", "<=", 45),)).dump()
    door = Rule((Condition("door", "is", "east"),)).dump()
    policy: dict[str, Any] = {
        "decline": {"threshold": 0.8},
        "corrections": [{"slice": "s1", "remedy": "exposure", "dose": 4.0, "words": "exposure x4"}],
    }
    slices = [{"slice": "s1", "words": "Too dark.", "rule": dark}, {"slice": "s2", "words": "East.", "rule": door}]
    (folder / "bundle.json").write_text(json.dumps({**meta, "policy": policy, "slices": slices}))
    pointer = {"run_id": "run1", "bundle": "runs/run1/promote/bundle", "champion": "candidate"}
    (folder.parents[2] / "champion.json").write_text(json.dumps(pointer))
    return folder


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photos of 48 px, every third one by night, and one that is broken."""
    folder, rng = tmp_path_factory.mktemp("shots"), np.random.default_rng(5)
    for k in range(12):
        cv2.imwrite(str(folder / f"{k:02d}.png"), photo(CLASSES[k % 2], k % 3 == 0, rng)[:, :, ::-1])
    (folder / "broken.png").write_bytes(b"no photo")
    return folder
