"""Which training images get which remedy at which strengths, what is corrected or declined at prediction time, what to
collect or relabel. No pixels yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline import remedies
from pipeline.attributes import measure_images as attributes_of
from pipeline.config import StageSettings
from pipeline.contracts import StageContext, StageOutputs
from pipeline.data.reading.image_record import suggest_name
from pipeline.data.reading.simulator_interface import find_simulators, simulate_plan_images
from pipeline.domain.rule_columns import build_condition_frame
from pipeline.domain.rules import iterate_rows
from pipeline.domain.statuses import SliceStatus
from pipeline.domain.validation_set import ValidationSet
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import has_trainable_weights, load_model
from pipeline.learning.training.holdout_split import (
    find_class_indices,
    recreate_holdout_split,
    select_training_images,
)
from pipeline.learning.training.plan_search import PlanTrial, evaluate_plans
from pipeline.report.slice_sentences import add_sentences
from pipeline.slices.candidates.rule_admission import (
    compute_slice_masks,
    measure_reference_distances,
    parse_frozen_rules,
)
from pipeline.slices.causes.repair_test import InterventionTools
from pipeline.slices.prescription.collection_requests import (
    describe_prescription,
    mark_untrained_slices,
    write_requests,
)
from pipeline.slices.prescription.comparison_inputs import get_luminance
from pipeline.slices.prescription.label_safety import (
    LabelSafetyInputs,
    find_label_changes,
    list_label_changing_remedies,
    sample_each_class,
)
from pipeline.slices.prescription.plan_candidates import build_plan_candidates
from pipeline.slices.prescription.strength_fitting import FIT_COLUMNS, fit_remedy
from pipeline.slices.prescription.strength_ranges import list_strength_ranges
from pipeline.slices.prescription.treatment_plan import (
    PLAN_COLUMNS,
    PrescriptionContext,
    SimulatorUse,
)
from pipeline.statistics.error_costs import compute_utilities
from pipeline.statistics.selective_prediction import choose_decline_rule
from pipeline.statistics.simplest_choice import choose_simplest_candidate


class Config(StageSettings):
    """Settings of the prescription."""

    remedy_share: float = Field(
        0.5, gt=0, le=1, description="share of a training image's views that get a remedy, all told"
    )
    max_repeats: int = Field(
        5,
        ge=1,
        description="most times as often that images of a slice without a cause are shown; 1: never more",
    )
    search_passes: int = Field(
        0,
        ge=0,
        description="image passes in all for trying plans by short fine-tunes; 0: no search",
    )
    max_plans: int = Field(4, ge=1, description="plans that a search tries at most")
    learning_rate: float = Field(
        5e-4, gt=0, description="highest learning rate of these fine-tunes"
    )
    label_change_threshold: float = Field(
        0.5, gt=0, le=1, description="share of a class from which a transform changes its label"
    )
    label_safety_images: int = Field(
        16, ge=2, description="training images of each class on which that is tested"
    )
    target_error: float = Field(
        0.02, gt=0, lt=1, description="error allowed among answered images; others are declined"
    )
    simulator: str | None = Field(
        None, description="the data set adapter whose simulator draws images, such as gate"
    )
    simulated_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of these views that show a simulated image, not a treated one; 1: all",
    )
    simulated_images: int = Field(
        200,
        ge=1,
        le=100_000,
        description="images of each class that the simulator draws for a slice",
    )

    @model_validator(mode="after")
    def _check_simulator(self) -> Config:
        if self.simulated_share and self.simulator not in find_simulators():
            hint = suggest_name(self.simulator or "", find_simulators())
            raise ValueError(
                f"prescribe.simulator: {self.simulator or 'none'} is no adapter with a simulator; {hint}"
            )
        return self


def _assign_treatments(
    val: ValidationSet,
    pixels: NDArray[np.uint8],
    treated_images: dict[str, pd.DataFrame],
    tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
) -> pd.DataFrame:
    """`confirmed` with what the training images are given for each slice that has a cause.

    treated: by slice, the rows of `images` that are; tables: `confirmed`, `causes` and `membership`."""
    confirmed, causes, membership = tables
    tools = InterventionTools(
        pixels, remedies.apply_remedy, lambda p: attributes_of(p).to_numpy(dtype=float), None
    )
    rows: list[tuple[str | None, float, float, float]] = []
    for item in iterate_rows(confirmed):
        if pd.isna(item.cause):
            rows.append((None, np.nan, np.nan, np.nan))
            continue
        inside = val.find_members(item.slice, membership)
        asked = list_strength_ranges(item, causes, remedies.find_training_remedy)
        rows.append(fit_remedy(val, inside, treated_images[item.slice], asked, tools))
    return confirmed.assign(**pd.DataFrame(rows, columns=FIT_COLUMNS, index=confirmed.index))


def _find_refused_remedies(
    config: Config,
    context: StageContext,
    images: pd.DataFrame,
    is_usable: NDArray[np.bool_],
    confirmed: pd.DataFrame,
    model_inputs: tuple[NDArray[np.uint8], list[str], Path],
) -> list[dict[str, Any]]:
    """Which transforms make one class another, at the strengths of the probe and of the plan.

    usable: bool [images], training images whose label is not in doubt; material: pixels, class names and the model."""
    pixels, names, model = model_inputs
    network, meta = load_model(model)
    truth, groups = find_class_indices(images, names), images["group"].to_numpy(dtype=str)
    rows = sample_each_class(
        truth,
        groups,
        np.flatnonzero(is_usable & (truth >= 0)),
        config.label_safety_images,
        context.seed,
    )
    shown = LabelSafetyInputs(
        np.asarray(pixels[rows]), truth[rows], groups[rows], names, remedies.apply_remedy,
        lambda treated: np.asarray(compute_logits(network, treated, meta).argmax(1), dtype=np.intp),
    )  # fmt: skip
    strengths = {
        remedy: {d for name, d in remedies.list_interventions() if name == remedy}
        for remedy in list_label_changing_remedies()
    }
    for item in iterate_rows(confirmed):
        if item.fitted_remedy in strengths:
            strengths[item.fitted_remedy] |= {float(item.fitted_low), float(item.fitted_high)}
    asked = {remedy: sorted(tried) for remedy, tried in strengths.items()}
    return find_label_changes(shown, asked, config.label_change_threshold)


def _note_refused_remedies(refused_remedies: list[dict[str, Any]], context: StageContext) -> None:
    for remedy in sorted({r["remedy"] for r in refused_remedies}):
        pairs = sorted(
            {f"{r['from']} to {r['to']}" for r in refused_remedies if r["remedy"] == remedy}
        )
        context.add_note(f"{remedy} changes labels and is refused for: {', '.join(pairs)}")


def _note_undrawable_causes(config: Config, confirmed: pd.DataFrame, context: StageContext) -> None:
    if config.simulated_share:
        known = find_simulators()[str(config.simulator)]
        for cause in sorted(set(confirmed["cause"].dropna()) - set(known)):
            context.add_note(
                f"the simulator of {config.simulator} cannot draw {cause}: images are treated instead"
            )


def _prescribe_remedies(
    config: Config,
    prescription_context: PrescriptionContext,
    confirmed: pd.DataFrame,
    membership: pd.DataFrame,
) -> tuple[pd.DataFrame, list[dict[str, Any]], list[dict[str, Any]]]:
    """The plan, the corrections and what is prescribed for each slice, in words."""
    caused = confirmed[confirmed["cause"].notna()]
    counts = {
        item.slice: prescription_context.val.weigh_slice(item.slice, item.n, membership)
        for item in iterate_rows(caused)
    }
    plans, corrections, prescriptions = [pd.DataFrame(columns=list(PLAN_COLUMNS))], [], []
    known = find_simulators().get(config.simulator or "", ())
    simulated = SimulatorUse(config.simulator, known, config.simulated_share)
    for item in iterate_rows(confirmed):
        correction = None
        if pd.notna(item.cause):
            # in proportion to the images concerned: a small slice inside a large one must not take half of its share
            plan = prescription_context.build_plan(
                item,
                config.remedy_share * counts[item.slice] / max(sum(counts.values()), 1e-9),
                simulated,
            )
            inside = prescription_context.val.find_members(item.slice, membership)
            if inside[prescription_context.val.probed_rows].any():
                correction = prescription_context.choose_correction(item, inside)
                correction["words"] = remedies.describe_intervention(
                    correction["remedy"], correction["strength"]
                )
                corrections.append(correction)
        else:
            plan = prescription_context.plan_repeats(item, config.max_repeats)
        plans += [plan] if len(plan) else []
        prescriptions.append(describe_prescription(item, plan, correction))
    return pd.concat(plans).reset_index(drop=True).astype(PLAN_COLUMNS), corrections, prescriptions


def _search_plans(
    config: Config,
    context: StageContext,
    plan_trial: PlanTrial,
    val: ValidationSet,
    plan: pd.DataFrame,
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The plan to train in full, and what was tried: fine-tunes of a few passes on training images, judged on val."""
    confirmed, membership = tables
    found = build_plan_candidates(plan, confirmed.set_index("slice")["effect"], config.max_plans)
    said = evaluate_plans(plan_trial, [plan.iloc[:0], *(c.plan for c in found)], context)
    members = membership.loc[membership["slice"].isin(plan["slice"]), "image_id"]
    inside = val.frame["image_id"].isin(members).to_numpy()
    gained = np.stack([compute_utilities(val.labels, answers, val.error_costs) for answers in said])
    chosen, told = choose_simplest_candidate(gained, inside, val.groups)
    rows = [
        {"words": c.description, **t, "chosen": k == chosen}
        for k, (c, t) in enumerate(zip(found, told, strict=True))
    ]
    context.add_note(f"search: {len(found)} plans tried, {plan_trial.image_passes:,} image passes each and as many with nothing new; "
                 f"{'none helped' if chosen is None else found[chosen].description + ' is trained'}")  # fmt: skip
    kept = plan.iloc[:0] if chosen is None else found[chosen].plan.reset_index(drop=True)
    return kept, {"passes": plan_trial.image_passes * len(said), "tried": rows, "chosen_on": "val"}


def run(
    config: Config,
    context: StageContext,
    *,
    images: pd.DataFrame,
    pixels: NDArray[np.uint8],
    attributes: pd.DataFrame,
    splits: pd.DataFrame,
    model: Path,
    training: dict[str, Any],
    embeddings: NDArray[np.float32],
    label_issues: pd.DataFrame,
    validation_set: ValidationSet,
    dose_response: pd.DataFrame,
    marks: pd.DataFrame,
    membership: pd.DataFrame,
    explanations: pd.DataFrame,
    causes: pd.DataFrame,
) -> StageOutputs:
    """Turn each confirmed slice into what to do about it."""
    frame = build_condition_frame(images, attributes, marks)
    val, names = validation_set.exclude_label_issues(), list(validation_set.class_names)
    confirmed = add_sentences(explanations[explanations["status"] == SliceStatus.CONFIRMED])
    doubted = images["image_id"].isin(label_issues["image_id"]).to_numpy()
    usable = (splits["split"] == "train").to_numpy() & ~doubted
    rules = parse_frozen_rules(explanations)
    near = measure_reference_distances(frame, rules.values(), embeddings)
    arrived, members = (
        compute_slice_masks(frame, rules, near, should_use_label=known) for known in (False, True)
    )
    train = (splits["split"] == "train").to_numpy()
    treated = {name: frame[train & ~inside] for name, inside in arrived.items()}
    confirmed = _assign_treatments(val, pixels, treated, (confirmed, causes, membership))
    material = (pixels, names, Path(model))
    refused = _find_refused_remedies(config, context, images, usable, confirmed, material)
    _note_refused_remedies(refused, context)
    ward = PrescriptionContext(frame, train, arrived, members, rules, val, dose_response, refused)
    _note_undrawable_causes(config, confirmed, context)
    plan, corrections, prescriptions = _prescribe_remedies(config, ward, confirmed, membership)
    search = None
    if config.search_passes and len(plan) and has_trainable_weights(Path(model)):
        photos = select_training_images(images, splits, pixels, names)
        shown = recreate_holdout_split(photos, images, training, context.seed)[0]
        passes = config.search_passes // (1 + config.max_plans)
        asked = np.asarray(pixels[val.image_rows])
        course = PlanTrial(
            Path(model),
            images,
            shown,
            asked,
            max(passes, 1),
            config.learning_rate,
            remedies.apply_remedy,
        )
        plan, search = _search_plans(config, context, course, val, plan, (confirmed, membership))
        mark_untrained_slices(prescriptions, set(plan["slice"]))
    policy = {
        "search": search,
        "corrections": corrections,
        "refused": refused,
        "prescriptions": prescriptions,
        "decline": choose_decline_rule(
            compute_utilities(
                validation_set.labels, validation_set.predictions, validation_set.error_costs
            ),
            validation_set.confidences,
            config.target_error,
            get_luminance(attributes, validation_set.image_rows),
        ),
    }
    tables = (images, splits, confirmed, membership, label_issues)
    exports = write_requests(context.scratch_folder / "exports", members, *tables)
    kinds = simulate_plan_images(
        plan,
        names,
        config.simulated_images,
        pixels.shape[1],
        context,
        frozenset(images["content_hash"]),
    )
    made = {"plan": plan, "simulated": kinds[0], "simulated_pixels": kinds[1]}
    return {**made, "policy": policy, "exports": exports}
