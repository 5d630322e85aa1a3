"""A small, complete and consistent set of the artifacts of the report stage, drawn by seed."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.gate_conditions import evaluate_gate, list_caveats
from pipeline.domain.prescriptions import PrescribedCorrection, PrescribedTreatment, Prescription
from pipeline.domain.rules import Condition, Rule
from pipeline.domain.statuses import ChampionStatus, OpeningReason, PowerQuestion, PrescriptionKind
from pipeline.slices.tracking.reference_profile import (
    ReferenceProfile,
    build_reference_frame,
    summarize_reference,
)
from pipeline.slices.tracking.traffic_comparison import ArrivedTraffic, compare_traffic
from pipeline.slices.tracking.traffic_conditions import TrafficLimits
from pipeline.slices.tracking.traffic_conditions import evaluate_conditions as traffic_conditions
from pipeline.statistics.classification.selective_prediction import DeclineStatus
from pipeline.statistics.gains.harm_assessment import HarmMargins
from pipeline.statistics.model_comparison import ModelComparison, ModelOutput
from pipeline.storage.test_ledger import LedgerOpening, build_sealed_record
from tests.factory_base import HOSTILE
from tests.factory_found import Found
from tests.helpers.validation_sets import build_from_artifacts
from tests.tracks import drawn_tracking

SIMULATED = dict.fromkeys(("content_hash", "slice", "label", "simulator", "condition"), "str") | {
    "strength": "float64"
}


class Factory(Found):
    """Makes every artifact that the report stage needs."""

    def make(
        self, changed: bool = True, slices: bool = True, sealed: bool = False, promoted: bool = True
    ) -> dict[str, Any]:
        """Every artifact that the report stage needs, by name."""
        made = self._data()
        made |= self._model(made)
        made |= self._probe(made)
        made["validation_set"] = build_from_artifacts(made)
        made |= self._slices(made, slices) | self._repair(made, changed, slices)
        made |= self._verdict(made, changed, sealed, promoted)
        words = {"words": HOSTILE[0]} if self.hostile else {}
        return made | {"drift": self._drift(made), "followed": drawn_tracking(**words)}

    def _drift(self, made: dict[str, Any]) -> dict[str, Any]:
        """The images of test against those of train, by a champion that knows one slice."""
        dark = Rule((Condition("luminance", "<=", 62.4),))
        table, basis = build_reference_frame(made["images"], made["attributes"], {"s1": dark})
        train, arrived = (
            table[self.split == name].reset_index(drop=True) for name in ("train", "test")
        )
        kept, about = summarize_reference(train, basis, pd.Series(np.nan, index=train.index), 0)
        words = HOSTILE[0] if self.hostile else "Too dark: 40 of 80 images are misread."
        reference = ReferenceProfile(
            kept, about, [{"slice": "s1", "words": words, "rule": dark.dump_json()}], "champion-0"
        )
        limits = TrafficLimits.model_validate({})
        found = compare_traffic(reference, ArrivedTraffic(arrived, basis), limits)
        return {
            **found,
            "champion": "champion-0",
            "reason": None,
            "conditions": traffic_conditions(found, limits),
        }

    def _repair(self, made: dict[str, Any], changed: bool, slices: bool) -> dict[str, Any]:
        rng, val, truth = self.rng, self.val, self.label[self.val]
        train = made["images"]["image_id"].to_numpy()[self.split == "train"]
        plan = pd.DataFrame(
            {
                "image_id": train,
                "slice": "s1",
                "remedy": "exposure",
                "strength_low": 0.15,
                "strength_high": 0.4,
                "probability": 0.5,
                "tone_share": 0.0,
                "simulator": pd.array([None] * len(train), dtype="str"),
            }
        )
        wrong = self.guess != truth
        after = np.where(
            wrong & (rng.random(len(val)) < 0.6),
            truth,
            np.where(
                self.night[val] & (rng.random(len(val)) < 0.06),
                (truth + 1) % len(self.names),
                self.guess,
            ),
        )
        after = after if changed else self.guess
        was, now = ~wrong, after == truth
        change = np.select(
            [~was & now, was & ~now, ~was & ~now], ["fixed", "broken", "still wrong"], "still right"
        )
        name = np.array(self.names, dtype=object)
        flips = pd.DataFrame(
            {
                "image_id": made["predictions"]["image_id"],
                "label": name[truth],
                "before": name[self.guess],
                "control": name[self.guess],
                "after": name[after],
                "p_before": np.where(was, 0.9, 0.2) - rng.uniform(0, 0.1, len(val)),
                "p_after": np.where(now, 0.95, 0.25) - rng.uniform(0, 0.1, len(val)),
                "change": change,
                "saliency": -1,
                "declined_before": False,
                "declined_after": False,
            }
        )
        policy = {
            "corrections": [
                {
                    "slice": "s1",
                    "when": "luminance <= 62.4",
                    "rule": "{}",
                    "remedy": "exposure",
                    "strength": 2.0,
                    "helps": True,
                    "words": "exposure x2",
                    "chosen_on": "val",
                    "gain": {"value": 0.27, "low": 0.12, "high": 0.42, "groups": 24, "n": 60},
                }
            ],
            "refused": [
                {
                    "remedy": "horizontal_flip",
                    "strength": 1.0,
                    "from": self.names[0],
                    "to": self.names[-1],
                    "share": 0.81,
                    "n": 60,
                    "groups": 15,
                }
            ],
            "decline": {
                "attribute": "confidence",
                "threshold": 0.71,
                "target_error": 0.02,
                "error": 0.019,
                "coverage": 0.83,
                "bound": 0.0197,
                "level": 0.05,
                "status": DeclineStatus.HELD,
                "is_refuted": False,
                "n": len(val),
                "groups": 240,
                "groups_needed": 149,
                "chosen_on": "val",
            },
            "prescriptions": [
                Prescription(
                    "s1",
                    PrescriptionKind.AUGMENT,
                    len(train),
                    (PrescribedTreatment("exposure", None, len(train), ((0.15, 0.4),)),),
                    0.58,
                    PrescribedCorrection("exposure", 2.0),
                    True,
                ).build_record(),
                Prescription(
                    "s2", PrescriptionKind.COLLECT, 0, (), None, None, False
                ).build_record(),
            ],
        }
        if not slices:
            policy |= {"corrections": [], "prescriptions": []}
        return {
            "plan": plan if slices else plan.iloc[:0],
            "simulated": pd.DataFrame(columns=list(SIMULATED)).astype(SIMULATED),
            "simulated_pixels": np.zeros((0, *made["pixels"].shape[1:]), np.uint8),
            "policy": policy,
            "flips": flips,
            "answers": self._answers(truth, flips),
            "saliency": self._saliency(flips),
        }

    def _answers(self, truth: NDArray[np.intp], flips: pd.DataFrame) -> NDArray[np.float32]:
        """Probabilities in which the class named by `flips` stands first, before and after."""
        size = len(self.names)
        said = [
            flips[c].map({name: k for k, name in enumerate(self.names)}).to_numpy()
            for c in ("before", "after")
        ]
        hot = [np.eye(size)[s] * 2 + np.eye(size)[truth] for s in said]
        shares = [h + self.rng.uniform(0, 0.1, h.shape) for h in hot]
        return np.stack([s / s.sum(1, keepdims=True) for s in shares], axis=1).astype(np.float32)

    def _saliency(self, flips: pd.DataFrame) -> NDArray[np.uint8]:
        """Heat maps of the first twelve images that changed: a blob above before, below after."""
        rows = flips.index[flips["change"] != "still right"][:12]
        flips.loc[rows, "saliency"] = np.arange(len(rows))
        y = np.arange(64)[:, None] * np.ones((1, 64))
        both = np.stack([255 * np.exp(-((y - at) ** 2) / 200) for at in (16, 48)])
        return np.broadcast_to(both, (len(rows), 2, 64, 64)).astype(np.uint8)

    def _trial(
        self,
        rows: NDArray[np.intp],
        answers: dict[str, NDArray[np.intp]],
        members: dict[str, NDArray[np.bool_]],
    ) -> ModelComparison:
        hot = np.eye(len(self.names), dtype=np.float32) * 3
        models = [
            ModelOutput(arm, None if arm == "before" else 0, hot[said])
            for arm, said in answers.items()
        ]
        return ModelComparison(
            self.label[rows], (rows // 4).astype(str), self.names, models, members
        )

    def _record(
        self, trial: ModelComparison, planned: NDArray[np.bool_], alpha: float
    ) -> dict[str, Any]:
        parts = {
            "primary": trial.compare_subset(planned, alpha, is_balanced=True),
            "outside": trial.compare_subset(~planned, alpha),
        }
        safety = trial.build_safety_record(~planned, HarmMargins())
        return trial.build_record(alpha) | safety | parts

    def _verdict(
        self, made: dict[str, Any], changed: bool, shut: bool, promoted: bool
    ) -> dict[str, Any]:
        rng, k = self.rng, len(self.names)
        index = {name: i for i, name in enumerate(self.names)}
        said = {
            a: made["flips"][c].map(index).to_numpy()
            for a, c in (("before", "before"), ("control", "control"), ("targeted", "after"))
        }
        test = np.flatnonzero(self.split == "test")
        chance = {"before": 0.5, "control": 0.5, "targeted": 0.0}
        unseen = {
            a: np.where(rng.random(len(test)) < p, (self.label[test] + 1) % k, self.label[test])
            for a, p in chance.items()
        }
        confirmed = list(made["explanations"].query("status == 'confirmed'")["slice"])
        table = made["membership"]
        inside = {
            s: made["flips"]["image_id"].isin(table.loc[table["slice"] == s, "image_id"]).to_numpy()
            for s in confirmed
        }
        arms = ("before", "control", "targeted") if changed else ("before",)
        everyone = np.zeros(len(self.val), bool)
        val = self._record(
            self._trial(self.val, {a: said[a] for a in arms}, inside),
            inside.get("s1", everyone),
            0.05,
        )
        record = None
        if changed and not shut:
            trial = self._trial(
                test, {a: unseen[a] for a in arms}, dict.fromkeys(confirmed, self.night[test])
            )
            record = self._record(trial, self.night[test], 0.025)
        opening = (
            LedgerOpening(
                "a" * 16, 1, 0.025, "2025-03-01T00:00:00", True, False, OpeningReason.VAL_PASSED
            ).build_record()
            if record
            else build_sealed_record(OpeningReason.NO_GAIN_ON_VAL)
        )
        rule = made["policy"]["decline"]
        error = {"value": 0.031, "low": 0.01, "high": 0.05, "groups": 40, "n": 96}
        seen = {"n": len(test), "coverage": 0.8, "error": error}
        bringing = [
            {
                "slice": "s1",
                "n": 80,
                "gain": {"value": 0.2, "low": 0.1, "high": 0.3, "groups": 20, "n": 80},
            }
        ]
        gains = [
            {**row, "arm": arm, "helps": arm == "before", "is_confirmed": arm == "before"}
            for row in bringing
            for arm in arms
            if arm != "control"
        ]
        for row in val["slices"]:
            row |= {"words": "Too dark", "planned": row["slice"] == "s1"}
        val["gained"] = [row["slice"] for row in val["slices"] if row["planned"]]
        outcome = (
            "tested"
            if record
            else "refused on val"
            if changed
            else "no plan"
            if confirmed
            else "no slice"
        )
        comparison = {
            "outcome": outcome,
            "alpha": 0.05,
            "margins": {"overall": 0.01, "by_class": 0.03, "max_loss_probability": 0.5},
            "champion": {"status": ChampionStatus.NONE, "run_id": None},
            "foreseen": None,
            "counts": {
                "errors": 1,
                "slices": len(made["explanations"]),
                "confirmed": len(confirmed),
                "planned": len(confirmed[:1]),
                "seeds": 1,
            },
            "val": val,
            "test": record,
            "opening": opening,
            "decline": {
                arm: {**rule, "test": seen if record else None} for arm in arms if arm != "control"
            },
            "corrections": {"val": gains if made["policy"]["corrections"] else [], "test": None},
            "primary": {"endpoint": "accuracy gain", "slices": confirmed[:1], "also": "not worse"},
            "power": [
                {
                    "question": PowerQuestion.SLICE_GAIN,
                    "slice": s,
                    "split": "val",
                    "n": 80,
                    "groups": 20,
                    "groups_needed": 31,
                    "enough": False,
                    "bound": -0.01,
                }
                for s in confirmed
            ],
        }
        judged = evaluate_gate(comparison)
        verdict = {
            "promoted": promoted and bool(record) and all(c["passed"] for c in judged),
            "outcome": outcome,
            "gain": record and {"reference": "before", **record["primary"]["over"]["before"]},
            "foreseen": None,
            "conditions": judged,
            "champion": "candidate",
            "limits": list_caveats(comparison),
            "seeds_judged": False,
            "opening": opening["number"],
        }
        return {"comparison": comparison, "verdict": verdict}


@cache
def _planted(
    options: tuple[tuple[str, Any], ...], classes: int, images: int, hostile: bool
) -> dict[str, Any]:
    names = [f"sign {k:02d}" for k in range(classes)] if classes else None
    return Factory(names, images, hostile=hostile).make(**dict(options))


def planted(
    classes: int = 0, images: int = 480, hostile: bool = False, **options: bool
) -> dict[str, Any]:
    """Return a fresh dict of artifacts that are made once; leave them as they are.

    Args:
        classes: number of classes; 0 for the two of the gate.
        images: number of images.
        hostile: whether texts try to inject code.
        options: changed, slices, sealed, promoted, see `Factory.make`.
    """
    return dict(_planted(tuple(sorted(options.items())), classes, images, hostile))
