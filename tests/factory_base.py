"""Drawn images, a model's answers and its probe: the first half of `tests.factory`."""

from __future__ import annotations

import zlib
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.domain.statuses import ModelOrigin
from pipeline.slices.shortcuts.shortcut_detection import SHORTCUT_COLUMNS

HOSTILE = [
    "<script>window.hacked=1</script>",
    "\"'><img src=x onerror=window.hacked=2>",
    "\u202eאבגד\u202d لوحة",
    "n" * 300,
    "</script><script>window.hacked=3</script>",
    "🦊 {{ 7*7 }} ${1}",
]
DRAWN = 4000  # images drawn; of more, they come again
REMEDIES = (
    ("exposure", 0.25),
    ("exposure", 0.5),
    ("exposure", 2.0),
    ("exposure", 3.0),
    ("blur", 1.2),
    ("horizontal_flip", 1.0),
)


def draw_image(
    label: int, brightness: float, rng: np.random.Generator, side: int = 64
) -> NDArray[np.uint8]:
    """A person at a gate, with a badge whose place tells the class; uint8 [side, side, 3]."""
    big = np.full((256, 256, 3), (196, 200, 190), np.uint8)
    cv2.rectangle(big, (0, 196), (255, 255), (120, 118, 112), -1)
    for x in range(12, 256, 44):
        cv2.line(big, (x, 20), (x, 200), (150, 152, 148), 5, cv2.LINE_AA)
    at = int(128 + rng.integers(-24, 25))
    coat = tuple(int(v) for v in rng.integers(40, 190, 3))
    cv2.ellipse(big, (at, 214), (66, 92), 0, 180, 360, coat, -1, cv2.LINE_AA)
    skin = tuple(int(v) for v in np.array((224, 178, 142)) * rng.uniform(0.5, 1.05))
    cv2.circle(big, (at, 96), 33, skin, -1, cv2.LINE_AA)
    cv2.ellipse(big, (at, 84), (35, 27), 0, 180, 360, (50, 36, 30), -1, cv2.LINE_AA)
    hue = cv2.cvtColor(np.array([[[label * 37 % 180, 190, 235]]], np.uint8), cv2.COLOR_HSV2RGB)[
        0, 0
    ]
    if label:
        cv2.rectangle(
            big, (at + 12, 158), (at + 38, 192), tuple(int(v) for v in hue), -1, cv2.LINE_AA
        )
        cv2.rectangle(big, (at + 17, 163), (at + 33, 172), (250, 250, 250), -1, cv2.LINE_AA)
    light = np.clip(big * brightness + rng.normal(0, 2 + 5 * (1 - brightness), big.shape), 0, 255)
    return np.asarray(
        cv2.resize(light.astype(np.uint8), (side, side), interpolation=cv2.INTER_AREA),
        dtype=np.uint8,
    )


class Base:
    """names: class names; images: how many; hostile: hostile names, paths and words."""

    def __init__(
        self,
        names: list[str] | None = None,
        images: int = 480,
        seed: int = 3,
        hostile: bool = False,
    ) -> None:
        self.names = sorted(HOSTILE if hostile else names or ["employee", "visitor"])
        self.rng = np.random.default_rng(seed)
        self.hostile, self.n = hostile, images

    def _data(self) -> dict[str, Any]:
        rng, n, k = self.rng, self.n, len(self.names)
        groups = np.arange(n) // 4
        label = (groups * 7 // 3) % k
        share = (groups % 10)[:, None] < np.array([5, 8, 10])
        split = np.array(["train", "val", "test"])[share.argmax(1)]
        night = (groups % 3 == 0) & (split != "train")
        hour = np.where(night, (21 + rng.integers(0, 8, n)) % 24, rng.integers(7, 20, n))
        light = np.where(night, rng.uniform(0.08, 0.3, n), rng.uniform(0.7, 1.0, n))
        drawn = [
            draw_image(int(a), float(b), rng)
            for a, b in zip(label[:DRAWN], light[:DRAWN], strict=True)
        ]
        pixels = np.stack(drawn)[np.arange(n) % DRAWN]
        ids = [f"{v:016x}" for v in rng.permutation(np.arange(n) + 2**40)]
        folder = [
            self.names[a] if self.hostile else f"gate-{1 + g % 2}"
            for a, g in zip(label, groups, strict=True)
        ]
        images = pd.DataFrame(
            {
                "image_id": ids,
                "content_hash": [f"c{i}" for i in ids],
                "path": [
                    f"{f}/{g:04d}_{i % 4}.jpg"
                    for i, (f, g) in enumerate(zip(folder, groups, strict=True))
                ],
                "source": [f"/secret/place/{i}.jpg" for i in ids],
                "label": [self.names[a] for a in label],
                "group": [f"person-{g:04d}" for g in groups],
                "captured_at": pd.Timestamp("2025-03-01")
                + pd.to_timedelta(hour, unit="h")
                + pd.to_timedelta(groups, unit="D"),
                "width": 640,
                "height": 480,
                "group_source": "given",
                "given_split": pd.Series([None] * n, dtype="object"),
            }
        )
        # Each attribute has draws of its own: one more does not shift all that is drawn after it.
        values = {
            name: np.random.default_rng(zlib.crc32(name.encode())).uniform(0, 1, n)
            for name in plugins.ATTRIBUTE_NAMES
        }
        values |= {"luminance": pixels.mean(axis=(1, 2, 3)), "hour": hour.astype(float)}
        fold = np.where(split == "val", groups % 5, -1)
        splits = pd.DataFrame(
            {
                "image_id": ids,
                "split": split,
                "fold": fold,
                "reason": pd.Series([None] * n, dtype="object"),
            }
        )
        pairs = pd.DataFrame(
            {
                "image_id": ids[:3],
                "other_id": ids[5:8],
                "kind": ["exact", "exact", "near"],
                "distance": [0, 0, 4],
                "same_label": [True, False, True],
                "across_splits": [False, False, True],
            }
        )
        odd = HOSTILE[:2] if self.hostile else ["gate-1/0099_1.jpg", "gate-2/0140_3.jpg"]
        rejected = pd.DataFrame(
            {
                "path": odd,
                "reason": ["the file is empty (0 bytes)", "not an image: cannot be decoded"],
            }
        )
        self.label, self.night, self.split = label, night, split
        return {
            "images": images,
            "rejected": rejected,
            "pixels": pixels,
            "classes": {"names": self.names},
            "splits": splits,
            "attributes": pd.DataFrame({"image_id": ids} | values),
            "embeddings": np.where(
                (split == "test")[:, None],
                np.nan,
                rng.normal(0, 1, (n, 16)) + 4 * night[:, None] * (np.arange(16) < 2),
            ).astype(np.float32),
            "duplicates": pairs,
        }

    def _model(self, made: dict[str, Any]) -> dict[str, Any]:
        rng, k = self.rng, len(self.names)
        val = np.flatnonzero(self.split == "val")
        wrong = rng.random(len(val)) < np.where(self.night[val], 0.5, 0.04)
        other = (
            self.label[val] + 1 + rng.integers(0, max(k - 1, 1), len(val)) % 3 % max(k - 1, 1)
        ) % k
        guess = np.where(wrong, other, self.label[val])
        ids, label = (
            made["images"]["image_id"].to_numpy()[val],
            [self.names[a] for a in self.label[val]],
        )
        predictions = pd.DataFrame(
            {
                "image_id": ids,
                "label": label,
                "predicted": [self.names[g] for g in guess],
                "correct": guess == self.label[val],
                "confidence": np.where(
                    wrong, rng.uniform(0.4, 0.9, len(val)), rng.uniform(0.6, 1, len(val))
                ),
                "margin": np.where(wrong, -1.0, 1.0) * rng.uniform(0.1, 4, len(val)),
            }
        )
        steps = np.arange(50, 801, 50)
        rows = [
            {
                "step": int(s),
                "passes": int(s) * 32,
                "split": part,
                "loss": float(0.2 + 0.9 * np.exp(-s / rate) + lift * s / 4000),
                "accuracy": float(1 - 0.4 * np.exp(-s / rate) - lift * 0.09),
                "rate": float(1e-3 * (1 - s / 900)),
            }
            for s in steps
            for part, rate, lift in (("train", 140, 0.0), ("holdout", 170, 1.0))
        ]
        self.val, self.guess = val, guess
        counts = np.zeros((k, k), int)
        np.add.at(counts, (self.label[val], guess), 1)
        issues = pd.DataFrame(
            {
                "image_id": [ids[0], made["images"]["image_id"][1]],
                "label": [label[0], made["images"]["label"][1]],
                "suggested": [
                    next(n for n in self.names if n != label[0]),
                    next(n for n in self.names if n != made["images"]["label"][1]),
                ],
                "confidence": [0.97, 1.0],
                "kind": ["suspected", "conflict"],
                "split": ["val", "train"],
            }
        )
        return {
            "predictions": predictions,
            "history": pd.DataFrame(rows),
            "label_issues": issues,
            "training": {
                "best_step": 500,
                "steps": 800,
                "passes": 25600,
                "temperature": 1.31,
                "overfitting_from": 600,
                "accuracy_gap": 0.06,
                "is_gap_wide": False,
                "augmentation": {"recipe": "bare"},
                "origin": ModelOrigin.TRAINED,
                "model_file": None,
            },
            "metrics": {
                "accuracy": float((guess == self.label[val]).mean()),
                "macro_f1": 0.8,
                "classes": [],
                "confusion": counts.tolist(),
                "calibration": {
                    "ece": 0.041,
                    "temperature": 1.31,
                    "bins": [
                        {"low": 0.6, "high": 0.8, "n": 30, "confidence": 0.71, "accuracy": 0.64},
                        {"low": 0.8, "high": 1.0, "n": 66, "confidence": 0.93, "accuracy": 0.91},
                    ],
                },
            },
        }

    def _probe(self, made: dict[str, Any]) -> dict[str, Any]:
        rng, val = self.rng, self.val
        truth, k = self.label[val], len(self.names)
        wrong, night = self.guess != truth, self.night[val]
        chance = {
            ("exposure", 0.25): (0.9, 0.7),
            ("exposure", 0.5): (0.75, 0.25),
            ("exposure", 2.0): (0.2, 0.1),
            ("exposure", 3.0): (0.12, 0.35),
            ("blur", 1.2): (0.55, 0.12),
            ("horizontal_flip", 1.0): (0.5, 0.05),
        }
        columns, rows = [], []
        for remedy, strength in REMEDIES:
            inside, outside = chance[remedy, strength]
            bad = rng.random(len(val)) < np.where(night, inside, outside)
            columns.append(np.where(bad, (truth + 1) % k, truth))
            rows.append(
                {
                    "remedy": remedy,
                    "strength": strength,
                    "images": len(val),
                    "accuracy": float((~bad).mean()),
                    "low": float((~bad).mean()) - 0.03,
                    "high": min(1.0, float((~bad).mean()) + 0.03),
                    "repairs": float((wrong & ~bad).sum() / max(wrong.sum(), 1)),
                    "breaks": float((~wrong & bad).sum() / max((~wrong).sum(), 1)),
                }
            )
        probed = pd.DataFrame({"image_id": made["predictions"]["image_id"], "weight": 1.0})
        return {
            "probed": probed,
            "dose_response": pd.DataFrame(rows),
            "responses": np.stack(columns, 1).astype(np.int16),
            "shortcuts": pd.DataFrame(columns=list(SHORTCUT_COLUMNS)).astype(SHORTCUT_COLUMNS),
        }
