"""Which training images get which remedy at which doses, what is corrected or declined at prediction time, what to
collect or relabel. No pixels yet but those that a simulator draws."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline import remedies
from pipeline.config import Settings
from pipeline.contracts import Context, Made
from pipeline.datasets import Wanted, nearest
from pipeline.datasets.simulator import simulate, simulators
from pipeline.evidence.intervals import cluster_mean
from pipeline.evidence.selective import decline_rule
from pipeline.slicing.admission import admitted_by, frozen_rules, near_photos
from pipeline.slicing.label_changes import label_changes
from pipeline.slicing.rules import Mask, Rule, conditions_frame, named_rows
from pipeline.slicing.validation import Val, validation


class Config(Settings):
    """Settings of the prescription."""

    share: float = Field(0.5, gt=0, le=1, description="share of a training image's views that get a remedy, all told")
    relabels: float = Field(0.5, gt=0, le=1, description="share of a class from which a transform changes its label")
    target_error: float = Field(
        0.02, gt=0, lt=1, description="error allowed among answered photos; others are declined"
    )
    simulator: str | None = Field(None, description="the data set adapter whose simulator draws photos, such as gate")
    simulated: float = Field(
        0.0, ge=0, le=1, description="share of these views that show a simulated photo, not a treated one; 1: all"
    )
    simulated_photos: int = Field(
        200, ge=1, le=100_000, description="photos of each class that the simulator draws for a slice"
    )

    @model_validator(mode="after")
    def _draws(self) -> Config:
        if self.simulated and self.simulator not in simulators():
            hint = nearest(self.simulator or "", simulators())
            raise ValueError(f"prescribe.simulator: {self.simulator or 'none'} is no adapter with a simulator; {hint}")
        return self


_PLAN = {
    "image_id": "str",
    "slice": "str",
    "remedy": "str",
    "dose_low": "float64",
    "dose_high": "float64",
    "probability": "float64",
    "simulator": "str",
}
_SIMULATED = {
    "content_hash": "str",
    "slice": "str",
    "label": "str",
    "simulator": "str",
    "condition": "str",
    "dose": "float64",
}


@dataclass(frozen=True)
class _Ward:
    """What a prescription is made from. frame, train: of all images; members: which of them each slice admits."""

    frame: pd.DataFrame
    train: NDArray[np.bool_]
    members: dict[str, Mask]
    rules: dict[str, Rule]
    val: Val
    interventions: pd.DataFrame
    refused: list[dict[str, Any]]

    def plan(self, item: Any, probability: float, config: Config) -> pd.DataFrame:
        """Who is treated, and in whose place a simulated photo is shown, by `config.simulated`."""
        drawn = config.simulated if item.cause in simulators().get(config.simulator or "", ()) else 0.0
        parts = []
        if drawn < 1:
            parts.append(self._treated(item, probability * (1 - drawn)))
        if drawn > 0:
            chosen = self.train & ~self.members[item.slice]  # labels stay true, whatever the transform would do
            parts.append(self._rows(item, chosen, str(item.cause), probability * drawn, config.simulator))
        return pd.concat(parts)

    def _treated(self, item: Any, probability: float) -> pd.DataFrame:
        """The training images that are not in the slice, of every class alike, whatever the label part of its rule: a
        remedy for one class only would teach that dark means this class."""
        low, high = item.dose_low, item.dose_high
        banned = {r["from"] for r in self.refused if r["remedy"] == item.cause and low <= r["dose"] <= high}
        chosen = self.train & ~self.members[item.slice] & ~self.frame["label"].isin(banned).to_numpy()
        return self._rows(item, chosen, remedies.rendering(item.cause, low, high), probability, None)

    def _rows(
        self, item: Any, chosen: NDArray[np.bool_], remedy: str, probability: float, simulator: str | None
    ) -> pd.DataFrame:
        table = pd.DataFrame({"image_id": self.frame.loc[chosen, "image_id"]}).assign(slice=item.slice, remedy=remedy)
        how = {"dose_low": item.dose_low, "dose_high": item.dose_high, "probability": probability}
        return table.assign(**how, simulator=simulator).astype(_PLAN)

    def correction(self, item: Any, inside: NDArray[np.bool_]) -> dict[str, Any]:
        """The dose that, given to every photo of the slice before the model looks, gains most on val."""
        probe, rows = self.val.probe, inside[self.val.probed]
        change, groups, weights = probe.change[rows], probe.groups[rows], probe.weights[rows]
        columns = self.interventions.index[self.interventions["remedy"] == item.cause]
        best = max(columns, key=lambda c: float(np.average(change[:, c], weights=weights)))
        gain = cluster_mean(change[:, best], groups, weights=weights, bounds=(-1.0, 1.0))
        dose, rule = float(self.interventions["dose"].iloc[best]), self.rules[item.slice]
        return {
            "slice": item.slice,
            "when": Rule(rule.conditions).words(),  # a photo that arrives has no label
            "rule": rule.dump(),
            "remedy": item.cause,
            "dose": dose,
            "words": remedies.describe(item.cause, dose),
            "gain": gain.record(),
            "helps": bool(gain.low > 0),
            "chosen_on": "val",
        }


def _drawn(
    config: Config, context: Context, plan: pd.DataFrame, names: list[str], images: pd.DataFrame, side: int
) -> tuple[pd.DataFrame, NDArray[np.uint8]]:
    """The photos that the plan shows in place of others: as many of each class, so that none stands for the condition.

    Returns `simulated` and `simulated_pixels`."""
    asked = plan.dropna(subset="simulator").drop_duplicates("slice")
    rows, pixels, known = [], [], frozenset(images["content_hash"])
    jobs = [(item, label) for item in named_rows(asked) for label in names]
    for item, label in context.track(jobs, total=len(jobs), what="kinds of simulated photos"):
        wanted = Wanted(item.remedy, label, item.dose_low, item.dose_high, config.simulated_photos, context.seed)
        for copy in simulate(item.simulator, wanted, side, known):
            rows.append((copy.content_hash, item.slice, label, item.simulator, item.remedy, copy.dose))
            pixels.append(copy.pixels)
    table = pd.DataFrame(rows, columns=list(_SIMULATED)).astype(_SIMULATED)
    return table, np.stack(pixels) if pixels else np.zeros((0, side, side, 3), np.uint8)


def _note_undrawn(config: Config, confirmed: pd.DataFrame, context: Context) -> None:
    if config.simulated:
        known = simulators()[str(config.simulator)]
        for cause in sorted(set(confirmed["cause"].dropna()) - set(known)):
            context.note(f"the simulator of {config.simulator} cannot draw {cause}: photos are treated instead")


def _prescription(item: Any, plan: pd.DataFrame, correction: dict[str, Any] | None) -> dict[str, Any]:
    planned = plan["image_id"].nunique() if len(plan) else 0
    if planned:
        doses = " to ".join(dict.fromkeys(f"{dose:.3g}" for dose in (item.dose_low, item.dose_high)))
        action, kind = f"train on {_means(plan)} at dose {doses}", "augment"
    else:
        action, kind = "collect more photos like these: no transform was shown to be the cause", "collect"
    also = f"; or correct them as they arrive: {correction['words']}" if correction and correction["helps"] else ""
    return {"slice": item.slice, "kind": kind, "words": item.words, "action": action + also, "photos": planned}


def _means(plan: pd.DataFrame) -> str:
    """Of a slice's plan, in words: who is treated with what, and what is simulated."""
    told = []
    for (remedy, simulator), part in plan.fillna({"simulator": ""}).groupby(["remedy", "simulator"], sort=False):
        title = str(remedy).replace("_", " ")
        if not simulator:
            told.append(f"{len(part):,} training photos treated with {title}")
        else:
            told.append(f"photos that the simulator of {simulator} drew under {title}")
    return " and ".join(told)


def _exports(
    folder: Path,
    images: pd.DataFrame,
    splits: pd.DataFrame,
    confirmed: pd.DataFrame,
    members: dict[str, Mask],
    membership: pd.DataFrame,
    label_issues: pd.DataFrame,
) -> Path:
    folder.mkdir(exist_ok=True)
    path_of = images.set_index("image_id")["path"]
    train, val = (splits["split"] == "train").to_numpy(), (splits["split"] == "val").to_numpy()
    rows = []
    for item in named_rows(confirmed):
        inside = members[str(item.slice)]
        wanted = round(float(inside[val].mean()) * int(train.sum())) if val.any() else 0
        typical = membership[membership["slice"] == item.slice].nlargest(5, "score")["image_id"]
        rows.append(
            {
                "slice": item.slice,
                "words": item.words,
                "rule": item.rule,
                "have": int(inside[train].sum()),
                "wanted": max(wanted, int(inside[train].sum())),
                "examples": "; ".join(path_of[typical]),
            }
        )
    columns = ["slice", "words", "rule", "have", "wanted", "examples"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "collect.csv", index=False)
    relabel = label_issues.assign(path=path_of[label_issues["image_id"]].to_numpy())
    relabel[["path", "label", "suggested", "confidence", "kind", "split"]].to_csv(folder / "relabel.csv", index=False)
    return folder


def _note_refused(refused: list[dict[str, Any]], context: Context) -> None:
    for remedy in sorted({r["remedy"] for r in refused}):
        pairs = sorted({f"{r['from']} to {r['to']}" for r in refused if r["remedy"] == remedy})
        context.note(f"{remedy} changes labels and is refused for: {', '.join(pairs)}")


def run(
    config: Config,
    context: Context,
    *,
    images: pd.DataFrame,
    pixels: NDArray[np.uint8],
    attributes: pd.DataFrame,
    splits: pd.DataFrame,
    classes: dict[str, list[str]],
    predictions: pd.DataFrame,
    embeddings: NDArray[np.float32],
    label_issues: pd.DataFrame,
    probed: pd.DataFrame,
    responses: NDArray[np.int16],
    dose_response: pd.DataFrame,
    membership: pd.DataFrame,
    explanations: pd.DataFrame,
) -> Made:
    """Turn each confirmed slice into what to do about it."""
    frame = conditions_frame(images, attributes)
    val = validation(frame, splits, classes["names"], predictions, label_issues, probed, responses)
    refused = label_changes(val, responses, dose_response, classes["names"], config.relabels)
    _note_refused(refused, context)
    confirmed = explanations[explanations["status"] == "confirmed"]
    rules = frozen_rules(explanations)
    members = admitted_by(frame, rules, near_photos(frame, rules.values(), embeddings))
    train = (splits["split"] == "train").to_numpy()
    ward = _Ward(frame, train, members, rules, val, dose_response, refused)
    concerned = max(int(confirmed.loc[confirmed["cause"].notna(), "n"].sum()), 1)
    _note_undrawn(config, confirmed, context)
    plans, corrections, prescriptions = [], [], []
    for item in named_rows(confirmed):
        plan, correction = pd.DataFrame(), None
        if pd.notna(item.cause):
            # in proportion to the photos concerned: a small slice inside a large one must not take half of its share
            plan = ward.plan(item, config.share * item.n / concerned, config)
            plans.append(plan)
            inside = val.frame["image_id"].isin(membership.loc[membership["slice"] == item.slice, "image_id"])
            if inside.to_numpy()[val.probed].any():
                correction = ward.correction(item, inside.to_numpy())
                corrections.append(correction)
        prescriptions.append(_prescription(item, plan, correction))
    policy = {
        "corrections": corrections,
        "refused": refused,
        "prescriptions": prescriptions,
        "decline": decline_rule(
            predictions["correct"].to_numpy(dtype=bool),
            predictions["confidence"].to_numpy(dtype=float),
            config.target_error,
        ),
    }
    exports = _exports(context.scratch / "exports", images, splits, confirmed, members, membership, label_issues)
    whole = pd.concat(plans) if plans else pd.DataFrame(columns=list(_PLAN))
    whole = whole.reset_index(drop=True).astype(_PLAN)
    drawn, drawn_pixels = _drawn(config, context, whole, classes["names"], images, pixels.shape[1])
    made = {"plan": whole, "simulated": drawn, "simulated_pixels": drawn_pixels}
    return {**made, "policy": policy, "exports": exports}
