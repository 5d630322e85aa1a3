"""Tests every slice on the folds that did not propose it, words it, and names its cause and dose, or says unnamed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline import plugins, remedies
from pipeline.attributes import measure as attributes_of
from pipeline.config import Settings
from pipeline.contracts import Context, Made
from pipeline.evidence.permutation import excess_error
from pipeline.learning.backbone import load_model
from pipeline.learning.predict import features, logits
from pipeline.slicing.common import in_common
from pipeline.slicing.confirm import Pair, Tested, effect_of, judge
from pipeline.slicing.crossing import halves
from pipeline.slicing.match import find_causes, suspect_cause
from pipeline.slicing.name import Rival, confused, sentence
from pipeline.slicing.pool import good_photos
from pipeline.slicing.repair import Tools, undoing
from pipeline.slicing.rules import Mask, Rule, conditions_frame, named_rows
from pipeline.slicing.typical import core
from pipeline.slicing.validation import Val, validation


class Config(Settings):
    """Settings of the tests and of the naming."""

    level: float = Field(0.05, gt=0, lt=1, description="false discovery rate over everything tested")
    photos: int = Field(150, ge=30, description="photos of a slice, and good photos, that a cause is matched on")


@dataclass(frozen=True)
class Found:
    """A slice as cluster left it. rules: by the half (0 or 1) that each is applied to; `inside`: held-out members;
    typical: those of them on whom the cause is matched."""

    name: str
    rank: int
    rules: dict[int, Rule]
    inside: Mask
    typical: Mask
    chosen: NDArray[np.intp]  # intervention of each row's half, -1 where there is none

    @property
    def label(self) -> str | None:
        """The class that all its rules have as their label part, or None."""
        return next(iter(self.rules.values())).label

    def stated(self, tested: Tested) -> Rule:
        """The rule that is in force outside val: of the half that tested best."""
        return self.rules[sorted(self.rules)[tested.best]]

    def applied(self, half: NDArray[np.intp]) -> str:
        """In words, which rule admitted how many photos, on which half of val (`half`: 0 or 1 of each row)."""
        counts = {h: int((self.inside & (half == h)).sum()) for h in self.rules}
        told = [f"{rule.words()} ({counts[h]:,} photos of half {h + 1})" for h, rule in sorted(self.rules.items())]
        return "; ".join(told)


def _found(val: Val, slices: pd.DataFrame, membership: pd.DataFrame, interventions: pd.DataFrame) -> list[Found]:
    column = {(r.remedy, r.dose): i for i, r in enumerate(named_rows(interventions))}
    half = halves(val.fold)
    half_of = dict(zip(val.fold.tolist(), half.tolist(), strict=True))
    found = []
    for name, table in slices.groupby("slice", sort=False):
        score = membership[membership["slice"] == name].set_index("image_id")["score"]
        scores = val.frame["image_id"].map(score).fillna(-np.inf).to_numpy(dtype=float)
        rows = [(half_of[int(r.fold)], r) for r in named_rows(table)]
        by_half = {h: column.get((r.remedy, r.dose), -1) for h, r in rows}
        chosen = np.array([by_half.get(int(h), -1) for h in half], dtype=np.intp)
        rules = {h: Rule.parse(r.rule) for h, r in rows}
        masks = (np.isfinite(scores), core(scores, half))
        found.append(Found(str(name), int(table["rank"].iloc[0]), rules, *masks, chosen))
    return found


def _test(val: Val, item: Found, seed: int) -> tuple[Pair, list[Pair]]:
    """The tests over all that a rule of this slice was applied to, and of each rule by itself, in the order of the
    halves."""
    half = halves(val.fold)
    told = np.isin(half, list(item.rules))  # a half to which no rule of this slice was applied says nothing about it
    return paired(val, item, told, seed), [paired(val, item, half == h, seed) for h in sorted(item.rules)]


def paired(val: Val, item: Found, told: Mask, seed: int) -> Pair:
    """Both tests of a slice on the rows `told` (bool [rows])."""
    excess = excess_error(val.losses[told], val.truth[told], item.inside[told], val.groups[told], seed=seed)
    # against others of the class: what turns every answer into this class would repair it wherever one looks
    alike = told if item.label is None else told & np.asarray(val.frame["label"] == item.label)
    chosen = np.where(alike, item.chosen, -1)
    return Pair(excess, effect_of(val.probe, chosen[val.probed], item.inside[val.probed], seed))


def _confused(val: Val, failing: Mask) -> str:
    labels, guesses = ([val.names[k] for k in codes[failing]] for codes in (val.truth, val.guess))
    return confused(labels, guesses)


def _repaired(val: Val, item: Found, rival: Rival | None, interventions: pd.DataFrame) -> str:
    """What the inverse does to the slice's failures, in words; empty where none undoes the cause."""
    column = undoing(interventions, rival) if rival and rival.invertible else None
    inside = item.inside[val.probed] & ~val.probe.correct
    if rival is None or column is None or not inside.any():
        return ""
    share = float(np.average(val.probe.after[inside, column], weights=val.probe.weights[inside]))
    dose = float(interventions["dose"].iloc[column])
    return f"; {remedies.spoken(rival.remedy, dose)} repairs {100 * share:.0f} % of them"


def _tools(pixels: NDArray[np.uint8], embeddings: NDArray[np.float32], model: Path) -> Tools:
    net, meta = load_model(model)
    return Tools(
        pixels,
        remedies.treat,
        lambda treated: attributes_of(treated).to_numpy(dtype=float),
        lambda treated: np.asarray(logits(net, treated, meta).argmax(1)),
        embeddings,
        features,
    )


def _confidence(best: Rival | None, rule: Rule) -> str:
    if best is None:
        return "leans on a mark" if rule.unmarked else "unnamed"
    if best.suspected:
        return "suspected"
    return "proved by intervention" if best.undone else "consistent with"


def _explanation(
    val: Val,
    item: Found,
    tested: Tested,
    rivals: list[Rival],
    fitted: tuple[float, float] | None,
    interventions: pd.DataFrame,
) -> dict[str, Any]:
    named = [r for r in rivals if r.named]
    best = named[0] if named else None
    rule = item.stated(tested)
    inside, errors, effect = item.inside, val.errors, tested.effect
    column = pd.Series(item.chosen[inside & (item.chosen >= 0)]).mode()
    words = {n: tuple(plugins.module("attributes", n).WORDS) for n in plugins.names("attributes")}
    error = float(val.losses[inside].mean()) if inside.any() else 0.0
    excess = tested.excess.interval
    finite = {
        k: float(np.nan_to_num(v, nan=0.0, posinf=1.0, neginf=-1.0))
        for k, v in (("excess", excess.value), ("low", excess.low), ("high", excess.high))
    }
    text = sentence(
        rivals,
        rule,
        val.frame[inside & errors],
        val.frame[~inside],
        int(inside.sum()),
        words,
        _confused(val, inside & errors) + _repaired(val, item, best, interventions),
    )
    effect_known = effect is not None and np.isfinite(effect.interval.value)
    return {
        "slice": item.name,
        "rank": item.rank,
        "status": tested.status,
        "words": text,
        "rule": rule.words(),
        "frozen": rule.dump(),
        "applied": item.applied(halves(val.fold)),
        "cause": best.remedy if best else None,
        "dose_low": fitted[0] if fitted else np.nan,
        "dose_high": fitted[1] if fitted else np.nan,
        "confidence": _confidence(best, rule),
        "n": int(inside.sum()),
        "groups": len(np.unique(val.groups[inside])),
        "failures": int(errors[inside].sum()),
        "error": error,
        "expected": error - finite["excess"],
        **finite,
        "p_excess": tested.excess.p,
        "remedy": str(interventions["remedy"].iloc[column.iloc[0]]) if len(column) else None,
        "dose": float(interventions["dose"].iloc[column.iloc[0]]) if len(column) else np.nan,
        "effect": effect.interval.value if effect and effect_known else np.nan,
        "effect_low": effect.interval.low if effect and effect_known else np.nan,
        "effect_high": effect.interval.high if effect and effect_known else np.nan,
        "p_effect": effect.p if effect else np.nan,
        "q_value": tested.q,
        "groups_needed": min([t.groups_needed for t in (tested.excess, effect) if t and t.groups_needed], default=None),
    }


def _common(val: Val, item: Found, tools: Tools, seed: int) -> str | None:
    asked = {c.column for rule in item.rules.values() for c in rule.conditions}
    return in_common(val, item.inside, tools.features, asked, seed)


COLUMNS = {
    "slice": "str",
    "rank": "int64",
    "status": "str",
    "words": "str",
    "rule": "str",
    "frozen": "str",
    "applied": "str",
    "cause": "str",
    "common": "str",
    "dose_low": "float64",
    "dose_high": "float64",
    "confidence": "str",
    "n": "int64",
    "groups": "int64",
    "failures": "int64",
    "error": "float64",
    "expected": "float64",
    "excess": "float64",
    "low": "float64",
    "high": "float64",
    "p_excess": "float64",
    "remedy": "str",
    "dose": "float64",
    "effect": "float64",
    "effect_low": "float64",
    "effect_high": "float64",
    "p_effect": "float64",
    "q_value": "float64",
    "groups_needed": "Int64",
}
_NUMBERS = ("dose", "apart", "auc", "reproduces", "repairs", "p_repairs", "share", "ahead")
CAUSES = dict.fromkeys(("slice", "remedy", "words"), "str") | dict.fromkeys(_NUMBERS, "float64")
CAUSES |= dict.fromkeys(("equivalent", "named"), "bool")


def run(
    config: Config,
    context: Context,
    *,
    images: pd.DataFrame,
    pixels: NDArray[np.uint8],
    attributes: pd.DataFrame,
    splits: pd.DataFrame,
    classes: dict[str, list[str]],
    model: Path,
    predictions: pd.DataFrame,
    embeddings: NDArray[np.float32],
    metrics: dict[str, Any],
    label_issues: pd.DataFrame,
    probed: pd.DataFrame,
    responses: NDArray[np.int16],
    dose_response: pd.DataFrame,
    marks: pd.DataFrame,
    slices: pd.DataFrame,
    membership: pd.DataFrame,
) -> Made:
    """Test, word and name every slice."""
    frame = conditions_frame(images, attributes, marks)
    costs = metrics.get("costs")
    val = validation(frame, splits, classes["names"], predictions, label_issues, probed, responses, costs)
    return explained(config, context, val, _tools(pixels, embeddings, model), (slices, membership, dose_response))


def explained(
    config: Config, context: Context, val: Val, tools: Tools, tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]
) -> Made:
    """The same for any model that `tools` can ask, or none (then causes are suspected only).

    tables: `slices`, `membership` and `dose_response`.
    """
    slices, membership, dose_response = tables
    found = _found(val, slices, membership, dose_response)
    judged = judge([_test(val, item, context.seed) for item in found], config.level)
    confirmed = [item.inside for item, tested in zip(found, judged, strict=True) if tested.status == "confirmed"]
    outside = ~np.logical_or.reduce(confirmed) if confirmed else np.ones(len(val.frame), bool)
    rows, causes = [], []
    for item, tested in context.track(list(zip(found, judged, strict=True)), total=len(found), what="slices"):
        rivals, fitted = list[Rival](), None
        caused = tested.status == "confirmed" and not item.stated(tested).unmarked
        if caused:
            pool = good_photos(val, outside, item.typical, tools, config.photos, context.seed)
            if tools.guess:
                masks = (item.inside, item.typical)
                rivals, fitted = find_causes(pool, *masks, dose_response, config.photos, config.level)
            else:
                rivals, fitted = suspect_cause(pool, item.typical, config.photos)
        row = _explanation(val, item, tested, rivals, fitted, dose_response)
        unnamed = caused and row["cause"] is None
        rows.append(row | {"common": _common(val, item, tools, context.seed) if unnamed else None})
        tried = rivals if tools.guess else []
        causes += [{"slice": item.name, **{k: vars(r)[k] for k in list(CAUSES)[1:]}} for r in tried]
    if found and not any(t.status == "confirmed" for t in judged):
        context.note(f"{len(found)} slices were tested on held-out folds, and none was confirmed")
    return {
        "explanations": pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS),
        "causes": pd.DataFrame(causes, columns=list(CAUSES)).astype(CAUSES),
    }
