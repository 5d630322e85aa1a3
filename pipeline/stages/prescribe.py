"""Which training images get which remedy at which doses, what is corrected or declined at prediction time, what to
collect or relabel. No pixels yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline import remedies
from pipeline.attributes import measure as attributes_of
from pipeline.config import Settings
from pipeline.contracts import Context, Made
from pipeline.datasets import nearest
from pipeline.datasets.simulator import drawn_for, simulators
from pipeline.evidence.choice import simplest_as_good
from pipeline.evidence.costs import worth
from pipeline.evidence.selective import decline_rule
from pipeline.learning.backbone import load_model, trains
from pipeline.learning.holdout import as_in_training, class_indices, training_photos
from pipeline.learning.predict import logits
from pipeline.learning.search import Course, tried
from pipeline.slicing.admission import admitted_by, frozen_rules, near_photos
from pipeline.slicing.candidates import candidates
from pipeline.slicing.case import light_of
from pipeline.slicing.fitting import GIVEN, fits, options
from pipeline.slicing.label_changes import Shown, label_changes, may_relabel, some_of_each_class
from pipeline.slicing.plans import PLAN, Simulated, Ward
from pipeline.slicing.repair import Tools
from pipeline.slicing.requests import left_out, prescription, write_requests
from pipeline.slicing.rules import conditions_frame, named_rows
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


def _given(
    val: Val, pixels: NDArray[np.uint8], treated: dict[str, pd.DataFrame],
    tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
) -> pd.DataFrame:
    """`confirmed` with what the training photos are given for each slice that has a cause.

    treated: by slice, the rows of `images` that are; tables: `confirmed`, `causes` and `membership`."""
    confirmed, causes, membership = tables
    tools = Tools(pixels, remedies.treat, lambda p: attributes_of(p).to_numpy(dtype=float), None)
    rows: list[tuple[str | None, float, float, float]] = []
    for item in named_rows(confirmed):
        if pd.isna(item.cause):
            rows.append((None, np.nan, np.nan, np.nan))
            continue
        inside = val.frame["image_id"].isin(membership.loc[membership["slice"] == item.slice, "image_id"])
        asked = options(item, causes, remedies.rendering)
        rows.append(fits(val, inside.to_numpy(), treated[item.slice], asked, tools))
    return confirmed.assign(**pd.DataFrame(rows, columns=GIVEN, index=confirmed.index))


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
        if item.given in doses:
            doses[item.given] |= {float(item.given_low), float(item.given_high)}
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
    config: Config, ward: Ward, confirmed: pd.DataFrame, membership: pd.DataFrame
) -> tuple[pd.DataFrame, list[dict[str, Any]], list[dict[str, Any]]]:
    """The plan, the corrections and what is prescribed for each slice, in words."""
    caused = confirmed[confirmed["cause"].notna()]
    counts = {item.slice: weight(ward.val, item, membership) for item in named_rows(caused)}
    plans, corrections, prescriptions = [pd.DataFrame(columns=list(PLAN))], [], []
    known = simulators().get(config.simulator or "", ())
    simulated = Simulated(config.simulator, known, config.simulated)
    for item in named_rows(confirmed):
        correction = None
        if pd.notna(item.cause):
            # in proportion to the photos concerned: a small slice inside a large one must not take half of its share
            plan = ward.plan(item, config.share * counts[item.slice] / max(sum(counts.values()), 1e-9), simulated)
            inside = ward.val.frame["image_id"].isin(membership.loc[membership["slice"] == item.slice, "image_id"])
            if inside.to_numpy()[ward.val.probed].any():
                correction = ward.correction(item, inside.to_numpy())
                correction["words"] = remedies.describe(correction["remedy"], correction["dose"])
                corrections.append(correction)
        else:
            plan = ward.repeats(item, config.repeats)
        plans += [plan] if len(plan) else []
        prescriptions.append(prescription(item, plan, correction))
    return pd.concat(plans).reset_index(drop=True).astype(PLAN), corrections, prescriptions


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
    marks: pd.DataFrame,
    membership: pd.DataFrame,
    explanations: pd.DataFrame,
    causes: pd.DataFrame,
) -> Made:
    """Turn each confirmed slice into what to do about it."""
    frame = conditions_frame(images, attributes, marks)
    costs = metrics.get("costs")
    val = validation(frame, splits, classes["names"], predictions, label_issues, probed, responses, costs)
    confirmed = explanations[explanations["status"] == "confirmed"]
    doubted = images["image_id"].isin(label_issues["image_id"]).to_numpy()
    usable = (splits["split"] == "train").to_numpy() & ~doubted
    rules = frozen_rules(explanations)
    near = near_photos(frame, rules.values(), embeddings)
    arrived, members = (admitted_by(frame, rules, near, labelled=known) for known in (False, True))
    train = (splits["split"] == "train").to_numpy()
    treated = {name: frame[train & ~inside] for name, inside in arrived.items()}
    confirmed = _given(val, pixels, treated, (confirmed, causes, membership))
    material = (pixels, list(classes["names"]), Path(model))
    refused = _refused(config, context, images, usable, confirmed, material)
    _note_refused(refused, context)
    ward = Ward(frame, train, arrived, members, rules, val, saved(val, responses), dose_response, refused)
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
    position = pd.Series(np.arange(len(images)), index=images["image_id"])
    policy = {
        "search": search,
        "corrections": corrections,
        "refused": refused,
        "prescriptions": prescriptions,
        "decline": decline_rule(
            worth(*answered(predictions, classes["names"]), costs),
            predictions["confidence"].to_numpy(dtype=float),
            config.target_error,
            light_of(attributes, position[predictions["image_id"]].to_numpy()),
        ),
    }
    tables = (images, splits, confirmed, membership, label_issues)
    exports = write_requests(context.scratch / "exports", members, *tables)
    kinds = drawn_for(
        plan, classes["names"], config.simulated_photos, pixels.shape[1], (context, frozenset(images["content_hash"]))
    )
    made = {"plan": plan, "simulated": kinds[0], "simulated_pixels": kinds[1]}
    return {**made, "policy": policy, "exports": exports}
