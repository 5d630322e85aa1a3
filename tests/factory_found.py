"""Slices, their explanations and causes: the middle part of `tests.factory`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.slicing.rules import Condition, Rule
from tests.factory_base import HOSTILE, Base

NIGHT = Rule((Condition("luminance", "<=", 62.4), Condition("hour", "between", (20.5, 5.5))))
VIVID, BLURRED = Rule((Condition("saturation", ">=", 0.61),)), Rule((Condition("sharpness", "<=", 0.1),))

_FIRST = {
    "slice": "s1", "rank": 1, "status": "confirmed", "rule": NIGHT.words(), "frozen": NIGHT.dump(),
    "applied": f"{NIGHT.words()} (40 photos of half 1); luminance <= 60 (40 photos of half 2)",
    "cause": "exposure", "common": None, "dose_low": 0.15, "dose_high": 0.4, "groups": 24,
    "confidence": "proved by intervention",
    "expected": 0.21, "low": 0.14, "high": 0.41, "p_excess": 0.0005, "remedy": "exposure", "dose": 2.0,
    "effect": 0.31, "effect_low": 0.18, "effect_high": 0.44, "p_effect": 0.0005, "q_value": 0.0015,
    "groups_needed": None,
}  # fmt: skip
_NOTHING = dict.fromkeys(("dose_low", "dose_high", "dose", "effect", "effect_low", "effect_high", "p_effect"), np.nan)
_SECOND = _NOTHING | {
    "slice": "s2", "rank": 2, "words": "High saturation (cause unnamed): 9 of 9 failures were taken with gate gate-2.",
    "rule": VIVID.words(), "frozen": VIVID.dump(), "applied": f"{VIVID.words()} (40 photos of half 1)",
    "cause": None, "remedy": None, "confidence": "unnamed", "n": 40, "groups": 10, "failures": 9, "error": 0.225,
    "common": "7 of 9 failures are badge read as none; sharpness 1.2 standard deviations below others of their class",
    "expected": 0.09, "excess": 0.135, "low": 0.02, "high": 0.25, "q_value": 0.03,
}  # fmt: skip
_THIRD = {
    "slice": "s3", "rank": 3, "status": "not testable", "words": "Blurred (cause unnamed): 3 of 12 photos are misread.",
    "rule": BLURRED.words(), "frozen": BLURRED.dump(), "applied": f"{BLURRED.words()} (12 photos of half 2)",
    "cause": None, "common": None, "n": 12, "groups": 3, "failures": 3, "error": 0.25, "expected": 0.1, "excess": 0.15,
    "low": -0.2, "high": 0.5, "p_excess": np.nan, "p_effect": np.nan, "q_value": np.nan, "groups_needed": 18,
    "effect": np.nan,
}  # fmt: skip
_TRIED = (
    "slice", "remedy", "words", "dose", "apart", "auc", "reproduces", "repairs", "p_repairs", "share",
    "ahead", "equivalent", "named",
)  # fmt: skip
_CAUSES = (
    ("s1", "exposure", "too dark", 0.25, 0.11, 0.58, 0.62, 0.31, 0.001, np.nan, np.nan, False, True),
    ("s1", "gamma", "too dark in the middle tones", 2.5, 0.14, 0.63, 0.48, 0.27, 0.004, np.nan, np.nan, True, False),
    ("s1", "blur", "blurred", 1.2, 0.52, 0.91, 0.12, np.nan, np.nan, np.nan, np.nan, False, False),
)


class Found(Base):
    """What the finder found in the drawn photos."""

    def _slices(self, made: dict[str, Any], slices: bool) -> dict[str, Any]:
        night = self.night[self.val]
        ids = made["predictions"]["image_id"].to_numpy()
        inside = {"s1": ids[night], "s2": ids[~night][:40], "s3": ids[~night][40:52]}
        tables = {
            "explanations": self._explanations(night),
            "causes": pd.DataFrame(list(_CAUSES), columns=list(_TRIED)),
            "membership": pd.DataFrame(
                [(i, s, 0, 1.0) for s, part in inside.items() for i in part],
                columns=["image_id", "slice", "fold", "score"],
            ),
            "slices": pd.DataFrame([_rule_row(s, fold) for s in inside for fold in range(5)]),
        }
        return tables if slices else {name: table.iloc[:0] for name, table in tables.items()}

    def _explanations(self, night: NDArray[np.bool_]) -> pd.DataFrame:
        words = HOSTILE[0] + HOSTILE[3] if self.hostile else "Too dark"
        wrong, n = int((self.guess != self.label[self.val])[night].sum()), int(night.sum())
        how = f"{wrong - 1} of {wrong} failures were taken from 21:00 to 05:00; twice the exposure repairs 71 %."
        counts = {"n": n, "failures": wrong, "error": wrong / max(n, 1), "excess": wrong / max(n, 1) - 0.21}
        first = _FIRST | counts | {"words": f"{words}: {how}"}
        return pd.DataFrame([first, first | _SECOND, first | _THIRD]).astype({"groups_needed": "Int64"})


def _rule_row(name: str, fold: int) -> dict[str, Any]:
    row = {"slice": name, "rank": int(name[1:]), "fold": fold, "source": "attributes", "remedy": "exposure"}
    return row | {"dose": 2.0, "recoverable": 0.3, "rule": Rule((Condition("luminance", "<=", 62.4),)).dump()}
