"""Slices, their explanations and causes: the middle part of `tests.factory`."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from pipeline.slicing.rules import Condition, Rule
from tests.factory_base import HOSTILE, Base


class Found(Base):
    """What the finder found in the drawn photos."""

    def _slices(self, made: dict[str, Any], slices: bool) -> dict[str, Any]:
        night = self.night[self.val]
        ids = made["predictions"]["image_id"].to_numpy()
        words = HOSTILE[0] + HOSTILE[3] if self.hostile else "Too dark, taken 21:00 to 05:00"
        wrong = int((self.guess != self.label[self.val])[night].sum())
        error, expected = wrong / max(night.sum(), 1), 0.21
        base = {
            "slice": "s1",
            "rank": 1,
            "status": "confirmed",
            "rule": "luminance <= 62.4 and hour from 20.5 to 5.5",
            "frozen": Rule((Condition("luminance", "<=", 62.4), Condition("hour", "between", (20.5, 5.5)))).dump(),
            "applied": "luminance <= 62.4 and hour from 20.5 to 5.5 (40 photos of half 1); "
            "luminance <= 60 (40 photos of half 2)",
            "words": f"{words}: {wrong} of {night.sum()} photos are misread; exposure x2 repairs 71% of them.",
            "cause": "exposure",
            "dose_low": 0.15,
            "dose_high": 0.4,
            "confidence": "proved by intervention",
            "n": int(night.sum()),
            "groups": 24,
            "failures": wrong,
            "error": error,
            "expected": expected,
            "excess": error - expected,
            "low": 0.14,
            "high": 0.41,
            "p_excess": 0.0005,
            "remedy": "exposure",
            "dose": 2.0,
            "effect": 0.31,
            "effect_low": 0.18,
            "effect_high": 0.44,
            "p_effect": 0.0005,
            "q_value": 0.0015,
            "groups_needed": None,
        }
        second = base | {
            "slice": "s2",
            "rank": 2,
            "status": "confirmed",
            "words": "High saturation, gate gate-2 (cause unnamed): 9 of 40 photos are misread.",
            "rule": "saturation >= 0.61",
            "frozen": Rule((Condition("saturation", ">=", 0.61),)).dump(),
            "applied": "saturation >= 0.61 (40 photos of half 1)",
            "cause": None,
            "dose_low": np.nan,
            "dose_high": np.nan,
            "confidence": "unnamed",
            "n": 40,
            "groups": 10,
            "failures": 9,
            "error": 0.225,
            "expected": 0.09,
            "excess": 0.135,
            "low": 0.02,
            "high": 0.25,
            "q_value": 0.03,
            "remedy": None,
            "dose": np.nan,
            "effect": np.nan,
            "effect_low": np.nan,
            "effect_high": np.nan,
            "p_effect": np.nan,
        }
        third = base | {
            "slice": "s3",
            "rank": 3,
            "status": "not testable",
            "words": "Blurred (cause unnamed): 3 of 12 photos are misread.",
            "rule": "sharpness <= 0.1",
            "frozen": Rule((Condition("sharpness", "<=", 0.1),)).dump(),
            "applied": "sharpness <= 0.1 (12 photos of half 2)",
            "cause": None,
            "n": 12,
            "groups": 3,
            "failures": 3,
            "error": 0.25,
            "expected": 0.1,
            "excess": 0.15,
            "low": -0.2,
            "high": 0.5,
            "p_excess": np.nan,
            "p_effect": np.nan,
            "q_value": np.nan,
            "groups_needed": 18,
            "effect": np.nan,
        }
        table = pd.DataFrame([base, second, third]).astype({"groups_needed": "Int64"})
        causes = pd.DataFrame(
            [
                ("s1", "exposure", "too dark", 0.25, 0.11, 0.58, 0.62, 0.31, 0.001, False, True),
                ("s1", "gamma", "too dark in the middle tones", 2.5, 0.14, 0.63, 0.48, 0.27, 0.004, True, False),
                ("s1", "blur", "blurred", 1.2, 0.52, 0.91, 0.12, np.nan, np.nan, False, False),
            ],
            columns=[
                "slice",
                "remedy",
                "words",
                "dose",
                "apart",
                "auc",
                "reproduces",
                "repairs",
                "p_repairs",
                "equivalent",
                "named",
            ],
        )
        inside = {"s1": ids[night], "s2": ids[~night][:40], "s3": ids[~night][40:52]}
        members = pd.DataFrame(
            [(i, s, 0, 1.0) for s, part in inside.items() for i in part], columns=["image_id", "slice", "fold", "score"]
        )
        rules = pd.DataFrame(
            [
                {
                    "slice": s,
                    "rank": int(s[1:]),
                    "fold": f,
                    "source": "attributes",
                    "remedy": "exposure",
                    "dose": 2.0,
                    "recoverable": 0.3,
                    "rule": json.dumps(
                        {
                            "conditions": [{"column": "luminance", "op": "<=", "value": 62.4}],
                            "label": None,
                            "source": "attributes",
                        }
                    ),
                }
                for s in inside
                for f in range(5)
            ]
        )
        return {
            "explanations": table if slices else table.iloc[:0],
            "causes": causes if slices else causes.iloc[:0],
            "membership": members if slices else members.iloc[:0],
            "slices": rules if slices else rules.iloc[:0],
        }
