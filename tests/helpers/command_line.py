"""The command line in a process of its own, and small data for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from pipeline.learning.models.backbone import build_network, save_model
from pipeline.storage.bundle_record import BUNDLE_FORMAT, FORMAT_KEY

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "nightshift"]


def build_environment(**variables: str) -> dict[str, str]:
    """Return the environment with `variables`, in which the package of this checkout is found."""
    return os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | variables


def call_nightshift(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Return the finished command with its output, run in `folder`."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=build_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def draw_class_folders(root: Path, class_counts: dict[str, int]) -> Path:
    """Return `root` with a folder of noise images, 40 x 40 px, for each class."""
    rng = np.random.default_rng(0)
    for name, count in class_counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
            cv2.imwrite(str(root / name / f"{number}.png"), pixels)
    return root


def save_bundle(folder: Path) -> None:
    """Write the bundle of an untrained network that never declines."""
    network, meta = build_network("test_efficientnet", "none", ["a", "b"], 32, 0.0)
    save_model(folder, network, meta)
    policy = {"decline": {"threshold": 0.0}, "corrections": []}
    sent = {"run_id": "run1", "policy": policy, "slices": []}
    record = {**meta, **sent, FORMAT_KEY: BUNDLE_FORMAT}
    (folder / "bundle.json").write_text(json.dumps(record))
