"""Slices, their explanations and causes: the middle part of `tests.factory`."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import Condition, Rule
from pipeline.domain.slice_setting import SettingFact, dump_setting
from pipeline.domain.slice_traits import ConfusionTrait, MeasureTrait, dump_traits
from pipeline.domain.statuses import CauseConfidence, SliceStatus
from pipeline.slices.family.class_search import CLASS_SLICE_DTYPES
from tests.factory_base import HOSTILE, Base

NIGHT = Rule((Condition("luminance", "<=", 62.4), Condition("hour", "between", (20.5, 5.5))))
VIVID, BLURRED = (
    Rule((Condition("saturation", ">=", 0.61),)),
    Rule((Condition("sharpness", "<=", 0.1),)),
)


def _dump_applied(*rules: tuple[str, int, int]) -> str:
    return json.dumps([dict(zip(("rule", "half", "count"), item, strict=True)) for item in rules])


_FIRST = {
    "slice": "s1",
    "rank": 1,
    "status": SliceStatus.CONFIRMED,
    "rule": NIGHT.format_text(),
    "frozen": NIGHT.dump_json(),
    "applied_rules": _dump_applied((NIGHT.format_text(), 0, 40), ("luminance <= 60", 1, 40)),
    "cause": "exposure",
    "shared_traits": "[]",
    "strength_low": 0.15,
    "strength_high": 0.4,
    "groups": 24,
    "confidence": CauseConfidence.INVERSE_CONFIRMED,
    "named_causes": json.dumps([{"remedy": "exposure", "strength": 0.25}]),
    "confused_label": None,
    "confused_prediction": None,
    "repair_strength": 2.0,
    "repair_share": 0.71,
    "expected": 0.21,
    "low": 0.14,
    "high": 0.41,
    "p_excess": 0.0005,
    "remedy": "exposure",
    "strength": 2.0,
    "effect": 0.31,
    "effect_low": 0.18,
    "effect_high": 0.44,
    "p_effect": 0.0005,
    "q_value": 0.0015,
    "groups_needed": None,
}
_NOTHING = dict.fromkeys(
    (
        "strength_low",
        "strength_high",
        "strength",
        "effect",
        "effect_low",
        "effect_high",
        "p_effect",
    ),
    np.nan,
)
_SECOND = _NOTHING | {
    "slice": "s2",
    "rank": 2,
    "setting": dump_setting([SettingFact("gate", value="gate-2")]),
    "setting_failures": 9,
    "named_causes": "[]",
    "repair_strength": np.nan,
    "repair_share": np.nan,
    "rule": VIVID.format_text(),
    "frozen": VIVID.dump_json(),
    "applied_rules": _dump_applied((VIVID.format_text(), 0, 40)),
    "cause": None,
    "remedy": None,
    "confidence": CauseConfidence.UNNAMED,
    "n": 40,
    "groups": 10,
    "failures": 9,
    "error": 0.225,
    "shared_traits": dump_traits(
        [ConfusionTrait("badge", "none", 7, 9), MeasureTrait("sharpness", -1.2)]
    ),
    "expected": 0.09,
    "excess": 0.135,
    "low": 0.02,
    "high": 0.25,
    "q_value": 0.03,
}
_THIRD = {
    "slice": "s3",
    "rank": 3,
    "status": SliceStatus.NOT_TESTABLE,
    "setting": "[]",
    "setting_failures": 3,
    "named_causes": "[]",
    "confidence": CauseConfidence.UNNAMED,
    "repair_strength": np.nan,
    "repair_share": np.nan,
    "rule": BLURRED.format_text(),
    "frozen": BLURRED.dump_json(),
    "applied_rules": _dump_applied((BLURRED.format_text(), 1, 12)),
    "cause": None,
    "shared_traits": "[]",
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
_TRIED = (
    "slice",
    "remedy",
    "strength",
    "attribute_distance",
    "auc",
    "reproduction_rate",
    "repair_effect",
    "repair_p_value",
    "regained_share",
    "shortfall_p_value",
    "attributed_share",
    "attribution_lead",
    "is_equivalent",
    "is_named",
    "refusal",
)
_UNKNOWN_PAIR = (np.nan, np.nan)
_NAMED = (*_UNKNOWN_PAIR, False, True, None)
_EQUIVALENT = (*_UNKNOWN_PAIR, True, False, None)
_REFUSED = (*_UNKNOWN_PAIR, False, False, "majority not shown")
_CAUSES = (
    ("s1", "exposure", 0.25, 0.11, 0.58, 0.62, 0.31, 0.001, 0.94, 0.99, *_NAMED),
    ("s1", "gamma", 2.5, 0.14, 0.63, 0.48, 0.27, 0.004, 0.9, 0.97, *_EQUIVALENT),
    ("s1", "blur", 1.2, 0.52, 0.91, 0.12, *_UNKNOWN_PAIR, *_UNKNOWN_PAIR, *_REFUSED),
)


class Found(Base):
    """What the finder found in the drawn images."""

    def _slices(self, made: dict[str, Any], slices: bool) -> dict[str, Any]:
        night = self.night[self.val]
        ids = made["predictions"]["image_id"].to_numpy()
        inside = {"s1": ids[night], "s2": ids[~night][:40], "s3": ids[~night][40:52]}
        tables = {
            "explanations": self._explanations(night),
            "causes": pd.DataFrame(list(_CAUSES), columns=list(_TRIED)),
            "class_slices": pd.DataFrame(columns=list(CLASS_SLICE_DTYPES)).astype(
                CLASS_SLICE_DTYPES
            ),
            "membership": pd.DataFrame(
                [(i, s, 0, 1.0) for s, part in inside.items() for i in part],
                columns=["image_id", "slice", "fold", "score"],
            ),
            "slices": pd.DataFrame([_rule_row(s, fold) for s in inside for fold in range(5)]),
        }
        return tables if slices else {name: table.iloc[:0] for name, table in tables.items()}

    def _explanations(self, night: NDArray[np.bool_]) -> pd.DataFrame:
        setting = [SettingFact("hour", 21, 5)]
        setting += [SettingFact("gate", value=HOSTILE[0] + HOSTILE[3])] if self.hostile else []
        wrong, n = int((self.guess != self.label[self.val])[night].sum()), int(night.sum())
        counts = {
            "n": n,
            "failures": wrong,
            "error": wrong / max(n, 1),
            "excess": wrong / max(n, 1) - 0.21,
        }
        first = _FIRST | counts | {"setting": dump_setting(setting), "setting_failures": wrong - 1}
        return pd.DataFrame([first, first | _SECOND, first | _THIRD]).astype(
            {"groups_needed": "Int64"}
        )


def _rule_row(name: str, fold: int) -> dict[str, Any]:
    row = {
        "slice": name,
        "rank": int(name[1:]),
        "fold": fold,
        "source": "attributes",
        "remedy": "exposure",
    }
    return row | {
        "strength": 2.0,
        "recoverable": 0.3,
        "family_p": 0.004,
        "is_frozen": fold % 2 == 0,
        "rule": Rule((Condition("luminance", "<=", 62.4),)).dump_json(),
    }
