"""A small data set with a planted night: lying and standing bars, described by a manifest.

Three in ten images of val and test are dark, and none of train, so that a model fails on them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

SIDE = 48


def image(label: str, night: bool, rng: np.random.Generator) -> np.ndarray:
    """Return a bright bar on a gray wall, uint8 [48, 48, 3] RGB; at night in dim light."""
    wall = rng.uniform(60, 110) + rng.normal(0, 4, (SIDE, SIDE, 1)) + rng.normal(0, 3, (1, 1, 3))
    length, width = int(rng.integers(22, 34)), int(rng.integers(6, 10))
    top, left = rng.integers(4, SIDE - length - 2), rng.integers(4, SIDE - length - 2)
    size = (width, length) if label == "lying" else (length, width)
    scene = np.broadcast_to(wall, (SIDE, SIDE, 3)).copy()
    scene[top : top + size[0], left : left + size[1]] = rng.uniform(150, 230) + rng.normal(0, 6, 3)
    light = rng.uniform(0.13, 0.3) if night else rng.uniform(0.85, 1.15)
    return np.clip(
        np.rint(scene * light + rng.normal(0, 2 if night else 1, scene.shape)), 0, 255
    ).astype(np.uint8)


def draw(
    root: Path,
    visits: int = 330,
    frames: int = 2,
    night: bool = True,
    seed: int = 0,
    *,
    first: int = 0,
    share: float = 0.3,
) -> Path:
    """Write images and `metadata.csv` (file_name, label, split, visit, captured_at) under `root`.

    Args:
        root: the folder.
        visits: number of visits.
        frames: images of each visit.
        night: whether some visits are at night.
        seed: seed of everything.
        first: number of the first visit; above 0 the rows are added to the manifest.
        share: share of the visits to val and test at night.
    """
    rng, rows = np.random.default_rng(seed), []
    root.mkdir(parents=True, exist_ok=True)
    for visit in range(first, first + visits):
        split = ("train", "train", "val", "val", "test")[visit % 5]
        dark = bool(night and split != "train" and rng.random() < share)
        label = ("lying", "standing")[int(rng.integers(2))]
        hour = (22 + rng.uniform(0, 6)) % 24 if dark else rng.uniform(8, 18)
        at = datetime(2026, 3, 1) + timedelta(days=int(rng.integers(30)), hours=float(hour))
        for frame in range(frames):
            name = f"{visit:04d}_{frame}.png"
            cv2.imwrite(str(root / name), image(label, dark, rng)[:, :, ::-1])
            rows.append(
                {
                    "file_name": name,
                    "label": label,
                    "split": split,
                    "group": f"v{visit}",
                    "captured_at": at.strftime("%Y-%m-%d %H:%M:%S"),
                    "door": str(rng.choice(["east", "west"])),
                }
            )
    table, mode = pd.DataFrame(rows), "a" if first else "w"
    table.to_csv(root / "metadata.csv", index=False, mode=mode, header=not first)
    return root


def config(data: Path, folder: Path, *, name: str = "night", epochs: float = 8) -> str:
    """Return the YAML of a config for a tiny network on these images."""
    return f"""
name: {name}
runs: {folder / "runs"}
reports: {folder / "reports"}
ingest: {{data: {data}, side: 48}}
train:
  {{recipe: bare, backbone: test_efficientnet, weights: none, epochs: {epochs},
   learning_rate: 0.003, batch_size: 32}}
retrain: {{epochs: 6, learning_rate: 0.002, batch_size: 32, seeds: 1, generic: false,
   real_repeats: 0}}
probe: {{max_images: 264}}
explain: {{matched_images: 80}}
tracking: {{mlflow: false}}
"""
