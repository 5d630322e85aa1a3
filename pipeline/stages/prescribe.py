"""Which training images get which remedy at which doses, what is corrected or declined at prediction time, what to
collect or relabel. No pixels yet."""

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
from pipeline.datasets import nearest
from pipeline.datasets.simulator import drawn_for, simulators
from pipeline.evidence.choice import simplest_as_good
from pipeline.evidence.costs import worth
from pipeline.evidence.intervals import cluster_mean
from pipeline.evidence.selective import decline_rule
from pipeline.learning.backbone import load_model, trains
from pipeline.learning.holdout import as_in_training, class_indices, training_photos
from pipeline.learning.predict import logits
from pipeline.learning.search import Course, tried
from pipeline.slicing.admission import admitted_by, frozen_rules, near_photos
from pipeline.slicing.candidates import candidates
from pipeline.slicing.label_changes import Shown, label_changes, may_relabel, some_of_each_class
from pipeline.slicing.requests import left_out, prescription, write_requests
from pipeline.slicing.rules import Mask, Rule, conditions_frame, named_rows
from pipeline.slicing.validation import Val, answered, saved, validation, weight


class Config(Settings):
    """Settings of the prescription."""

    share: float = Field(0.5, gt=0, le=1, description="share of a training image's views that get a remedy, all told")
    repeats: int = Field(
        5, ge=1, description="most times as often that photos of a slice without a cause are shown; 1: never more"
    )
    search: int = Field(0, ge=0, description="image passes in all for trying plans by short fine-tunes; 0: no search")
    tries: int = Field(4, ge=1, description="plans that a search tries at most")
    rate: float = Field(5e-4, gt=0, description="highest learning rate of these fine-tunes")
    relabels: float = Field(0.5, gt=0, le=1, description="share of a class from which a transform changes its label")
    label_photos: int = Field(16, ge=2, description="training photos of each class on which that is tested")
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


GROUPS = 10  # with a photo in the slice: fewer are learnt by heart when they are shown again and again

_PLAN = {
    "image_id": "str",
    "slice": "str",
    "remedy": "str",
    "dose_low": "float64",
    "dose_high": "float64",
    "probability": "float64",
    "simulator": "str",
}


@dataclass(frozen=True)
class _Ward:
    """What a prescription is made from. frame, train: of all images; members: which of them each slice admits.
    saved: cost that each intervention saves [probed photos of val, interventions], as shares of the worst error."""

    frame: pd.DataFrame
    train: NDArray[np.bool_]
    members: dict[str, Mask]
    rules: dict[str, Rule]
    val: Val
    saved: NDArray[np.float64]
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

    def repeats(self, item: Any, most: int) -> pd.DataFrame:
        """The training images that are in the slice, shown as often as makes them as common as on val, at least twice;
        none where their groups are too few to teach more than themselves."""
        inside = self.train & self.members[item.slice]
        val = self.members[item.slice][self.val.rows]
        have, groups = int(inside.sum()), self.frame.loc[inside, "group"].nunique()
        if most < 2 or groups < GROUPS:
            return pd.DataFrame()
        times = float(np.clip(round(val.mean() * self.train.sum() / have), 2, most))
        return pd.DataFrame({"image_id": self.frame.loc[inside, "image_id"]}).assign(
            slice=item.slice, remedy="oversampling", dose_low=times, dose_high=times, probability=1.0, simulator=None
        )

    def correction(self, item: Any, inside: NDArray[np.bool_]) -> dict[str, Any]:
        """The dose that, given to every photo of the slice before the model looks, gains most on val."""
        probe, rows = self.val.probe, inside[self.val.probed]
        change, groups, weights = self.saved[rows], probe.groups[rows], probe.weights[rows]
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


def _refused(
    config: Config, context: Context, images: pd.DataFrame, usable: NDArray[np.bool_], confirmed: pd.DataFrame,
    material: tuple[NDArray[np.uint8], list[str], Path],
) -> list[dict[str, Any]]:
    """Which transforms make one class another, at the doses of the probe and of the plan.

    usable: bool [images], training photos whose label is not in doubt; material: pixels, class names and the model."""
    pixels, names, model = material
    network, meta = load_model(model)
    truth, groups = class_indices(images, names), images["group"].to_numpy(dtype=str)
    rows = some_of_each_class(truth, groups, np.flatnonzero(usable & (truth >= 0)), config.label_photos, context.seed)
    shown = Shown(
        np.asarray(pixels[rows]), truth[rows], groups[rows], names, remedies.treat,
        lambda treated: np.asarray(logits(network, treated, meta).argmax(1), dtype=np.intp),
    )  # fmt: skip
    doses = {remedy: {d for name, d in remedies.interventions() if name == remedy} for remedy in may_relabel()}
    for item in named_rows(confirmed):
        if item.cause in doses:
            doses[item.cause] |= {float(item.dose_low), float(item.dose_high)}
    asked = {remedy: sorted(tried) for remedy, tried in doses.items()}
    return label_changes(shown, asked, config.relabels)


def _note_refused(refused: list[dict[str, Any]], context: Context) -> None:
    for remedy in sorted({r["remedy"] for r in refused}):
        pairs = sorted({f"{r['from']} to {r['to']}" for r in refused if r["remedy"] == remedy})
        context.note(f"{remedy} changes labels and is refused for: {', '.join(pairs)}")


def _note_undrawn(config: Config, confirmed: pd.DataFrame, context: Context) -> None:
    if config.simulated:
        known = simulators()[str(config.simulator)]
        for cause in sorted(set(confirmed["cause"].dropna()) - set(known)):
            context.note(f"the simulator of {config.simulator} cannot draw {cause}: photos are treated instead")


def _prescribed(
    config: Config, ward: _Ward, confirmed: pd.DataFrame, membership: pd.DataFrame
) -> tuple[pd.DataFrame, list[dict[str, Any]], list[dict[str, Any]]]:
    """The plan, the corrections and what is prescribed for each slice, in words."""
    caused = confirmed[confirmed["cause"].notna()]
    counts = {item.slice: weight(ward.val, item, membership) for item in named_rows(caused)}
    plans, corrections, prescriptions = [pd.DataFrame(columns=list(_PLAN))], [], []
    for item in named_rows(confirmed):
        correction = None
        if pd.notna(item.cause):
            # in proportion to the photos concerned: a small slice inside a large one must not take half of its share
            plan = ward.plan(item, config.share * counts[item.slice] / max(sum(counts.values()), 1e-9), config)
            inside = ward.val.frame["image_id"].isin(membership.loc[membership["slice"] == item.slice, "image_id"])
            if inside.to_numpy()[ward.val.probed].any():
                correction = ward.correction(item, inside.to_numpy())
                corrections.append(correction)
        else:
            plan = ward.repeats(item, config.repeats)
        plans += [plan] if len(plan) else []
        prescriptions.append(prescription(item, plan, correction))
    return pd.concat(plans).reset_index(drop=True).astype(_PLAN), corrections, prescriptions


def _searched(
    config: Config,
    context: Context,
    course: Course,
    val: Val,
    plan: pd.DataFrame,
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The plan to train in full, and what was tried: fine-tunes of a few passes on training photos, judged on val."""
    confirmed, membership = tables
    found = candidates(plan, confirmed.set_index("slice")["effect"], config.tries)
    said = tried(course, [plan.iloc[:0], *(c.plan for c in found)], context)
    members = membership.loc[membership["slice"].isin(plan["slice"]), "image_id"]
    inside = val.frame["image_id"].isin(members).to_numpy()
    gained = np.stack([worth(val.truth, answers, val.costs) for answers in said])
    chosen, told = simplest_as_good(gained, inside, val.groups)
    rows = [{"words": c.words, **t, "chosen": k == chosen} for k, (c, t) in enumerate(zip(found, told, strict=True))]
    context.note(f"search: {len(found)} plans tried, {course.passes:,} image passes each and as many with nothing new; "
                 f"{'none helped' if chosen is None else found[chosen].words + ' is trained'}")  # fmt: skip
    kept = plan.iloc[:0] if chosen is None else found[chosen].plan.reset_index(drop=True)
    return kept, {"passes": course.passes * len(said), "tried": rows, "chosen_on": "val"}


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
    training: dict[str, Any],
    predictions: pd.DataFrame,
    metrics: dict[str, Any],
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
    costs = metrics.get("costs")
    val = validation(frame, splits, classes["names"], predictions, label_issues, probed, responses, costs)
    confirmed = explanations[explanations["status"] == "confirmed"]
    doubted = images["image_id"].isin(label_issues["image_id"]).to_numpy()
    usable = (splits["split"] == "train").to_numpy() & ~doubted
    material = (pixels, list(classes["names"]), Path(model))
    refused = _refused(config, context, images, usable, confirmed, material)
    _note_refused(refused, context)
    rules = frozen_rules(explanations)
    members = admitted_by(frame, rules, near_photos(frame, rules.values(), embeddings))
    train = (splits["split"] == "train").to_numpy()
    ward = _Ward(frame, train, members, rules, val, saved(val, responses), dose_response, refused)
    _note_undrawn(config, confirmed, context)
    plan, corrections, prescriptions = _prescribed(config, ward, confirmed, membership)
    search = None
    if config.search and len(plan) and trains(Path(model)):
        photos = training_photos(images, splits, pixels, list(classes["names"]))
        shown = as_in_training(photos, images, training, context.seed)[0]
        passes = config.search // (1 + config.tries)
        asked = np.asarray(pixels[val.rows])
        course = Course(Path(model), images, shown, asked, max(passes, 1), config.rate, remedies.treat)
        plan, search = _searched(config, context, course, val, plan, (confirmed, membership))
        left_out(prescriptions, set(plan["slice"]))
    policy = {
        "search": search,
        "corrections": corrections,
        "refused": refused,
        "prescriptions": prescriptions,
        "decline": decline_rule(
            worth(*answered(predictions, classes["names"]), costs),
            predictions["confidence"].to_numpy(dtype=float),
            config.target_error,
        ),
    }
    tables = (images, splits, confirmed, membership, label_issues)
    exports = write_requests(context.scratch / "exports", members, *tables)
    kinds = drawn_for(
        plan, classes["names"], config.simulated_photos, pixels.shape[1], (context, frozenset(images["content_hash"]))
    )
    made = {"plan": plan, "simulated": kinds[0], "simulated_pixels": kinds[1]}
    return {**made, "policy": policy, "exports": exports}
