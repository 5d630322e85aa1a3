import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.domain.rules import Condition, Rule
from pipeline.learning.models.backbone import build_network, save_model
from pipeline.storage.artifact_store import RunFolder
from tests.night import image

CLASSES = ["lying", "standing"]
DARK = Rule((Condition("luminance", "<=", 45),))


def _save_network(folder: Path, seed: int) -> dict[str, object]:
    network, meta = build_network("test_efficientnet", "none", CLASSES, 48, 0.0, seed=seed)
    meta["temperature"] = 1e-4  # spreads the scores of an untrained network
    save_model(folder, network, meta)
    return meta


@pytest.fixture
def runs_folder(tmp_path: Path) -> Path:
    """A run with two untrained networks that disagree; its targeted model is in force."""
    runs = tmp_path / "runs"
    run = RunFolder.open_or_create(runs / "run1", {"name": "gate"})
    _save_network(run.get_artifact_path("model"), 3)
    candidates = run.get_artifact_path("candidates")
    _save_network(candidates, 2)
    (candidates / "model.safetensors").rename(candidates / "targeted-0.safetensors")
    entry = {"arm": "targeted", "seed": 0, "file": "targeted-0.safetensors", "temperature": 1e-4}
    (candidates / "candidates.json").write_text(json.dumps([entry]))
    comparison = run.get_artifact_path("comparison")
    comparison.parent.mkdir(parents=True, exist_ok=True)
    keys = dict.fromkeys(("val", "test", "opening", "power", "decline", "corrections"))
    comparison.write_text(json.dumps({**keys, "primary": {"slices": ["s1"]}}))
    bundle = runs / "run1" / "promote" / "bundle"
    meta = _save_network(bundle, 2)
    policy = {"decline": {"threshold": 0.8}, "corrections": []}
    slices = [{"slice": "s1", "words": "Too dark.", "rule": DARK.dump_json()}]
    record = {**meta, "bundle_format": 2, "run_id": "run1", "policy": policy, "slices": slices}
    (bundle / "bundle.json").write_text(json.dumps(record))
    pointer = {"run_id": "run1", "bundle": "runs/run1/promote/bundle", "champion": "candidate"}
    (runs / "champions").mkdir()
    (runs / "champions" / "gate.json").write_text(json.dumps(pointer))
    return runs


@pytest.fixture
def arrived(tmp_path: Path) -> Path:
    """Forty images, half of them dark, and a broken one."""
    folder = tmp_path / "arrived"
    folder.mkdir()
    rng = np.random.default_rng(5)
    for k in range(40):
        pixels = image(CLASSES[k % 2], k % 4 < 2, rng)
        cv2.imwrite(str(folder / f"{k:02d}.png"), pixels[:, :, ::-1])
    (folder / "broken.png").write_bytes(b"no image")
    return folder
