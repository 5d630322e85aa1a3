"""Stage `prescribe`: choose what to train on, correct, decline, collect and relabel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline.config import StageSettings
from pipeline.contracts import StageContext, StageOutputs
from pipeline.data.reading.image_record import suggest_name
from pipeline.data.reading.simulator_interface import find_simulators, simulate_plan_images
from pipeline.data.unlabeled_images import fingerprint_files
from pipeline.domain.rule_columns import build_condition_frame
from pipeline.domain.statuses import SliceStatus
from pipeline.domain.validation_set import ValidationSet
from pipeline.learning.models.backbone import has_trainable_weights
from pipeline.learning.training.holdout_split import recreate_holdout_split, select_training_images
from pipeline.learning.training.plan_search import PlanTrial, evaluate_plans
from pipeline.remedies import apply_remedy
from pipeline.report.sentences.conditions.reach_sentences import describe_test_reach
from pipeline.report.sentences.plain.class_lines import add_class_sentences
from pipeline.report.sentences.prescription_sentences import (
    describe_refusals,
    describe_searched_plan,
)
from pipeline.report.sentences.slice_sentences import add_sentences
from pipeline.slices.candidates.rule_admission import (
    collect_reference_ids,
    compute_slice_masks,
    measure_admission_shares,
    measure_reference_distances,
    parse_frozen_rules,
)
from pipeline.slices.causes.model_interventions import build_intervention_tools
from pipeline.slices.comparison.comparison_inputs import get_luminance
from pipeline.slices.prescription.collection_requests import write_requests
from pipeline.slices.prescription.look_alikes import select_slice_examples
from pipeline.slices.prescription.plan_choice import choose_plan
from pipeline.slices.prescription.planned_reach import foresee_planned_reach
from pipeline.slices.prescription.refused_treatments import find_refused_treatments
from pipeline.slices.prescription.slice_prescriptions import (
    build_prescription_records,
    fit_treatments,
    prescribe_slices,
)
from pipeline.slices.prescription.treatment_plan import PrescriptionContext, SimulatorUse
from pipeline.slices.prescription.unlabeled_search import UNLABELED_KEY, search_unlabeled_images
from pipeline.statistics.classification.error_costs import compute_utilities
from pipeline.statistics.classification.selective_prediction import (
    AnsweredImages,
    choose_decline_rule,
)


class Config(StageSettings):
    """Settings of the prescription."""

    remedy_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="share of a training image's views that get a remedy, over all slices",
    )
    max_repeats: int = Field(
        5,
        ge=1,
        description="largest factor by which training images of a slice without a cause are "
        "repeated; 1: never repeated",
    )
    search_passes: int = Field(
        0,
        ge=0,
        description="image passes in all for short fine-tunes that compare plans; 0: no search",
    )
    max_plans: int = Field(4, ge=1, description="plans at most that a search tries")
    learning_rate: float = Field(
        5e-4, gt=0, description="highest learning rate of these fine-tunes"
    )
    label_change_threshold: float = Field(
        0.5,
        gt=0,
        le=1,
        description="share of a class from which a transform counts as changing its label",
    )
    label_safety_images: int = Field(
        16, ge=2, description="training images of each class on which label changes are tested"
    )
    target_error: float = Field(
        0.02,
        gt=0,
        lt=1,
        description="error rate allowed among answered images; others are declined",
    )
    simulator: str | None = Field(
        None, description="data set adapter whose simulator draws images, such as gate"
    )
    simulated_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of these views that show a simulated image instead of a treated one",
    )
    simulated_images: int = Field(
        200,
        ge=1,
        le=100_000,
        description="images of each class that the simulator draws for a slice",
    )
    unlabeled: Path | None = Field(
        None,
        description="folder of images without labels; look_alikes.csv lists those like failures",
    )

    @model_validator(mode="after")
    def _check_simulator(self) -> Config:
        if self.simulated_share and self.simulator not in find_simulators():
            name = self.simulator or "none"
            hint = suggest_name(self.simulator or "", find_simulators())
            raise ValueError(f"prescribe.simulator: {name} is no adapter with a simulator; {hint}")
        return self


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
    class_slices: pd.DataFrame,
) -> StageOutputs:
    """Return `plan`, `simulated`, `simulated_pixels`, `policy` and `exports`.

    Args:
        config: settings of the stage.
        context: seed, progress, notes and folders.
        images: the artifact of that name, as the further arguments.
    """
    val = validation_set.exclude_label_issues()
    class_names = list(validation_set.class_names)
    is_training = splits["split"].to_numpy() == "train"
    frame = build_condition_frame(images, attributes, marks)
    rules = parse_frozen_rules(explanations)
    distances = measure_reference_distances(frame, rules.values(), embeddings)
    image_rule_masks = compute_slice_masks(frame, rules, distances, should_use_label=False)
    rule_masks = compute_slice_masks(frame, rules, distances, should_use_label=True)
    treatable_images = {
        name: frame[is_training & ~is_admitted] for name, is_admitted in image_rule_masks.items()
    }
    tools = build_intervention_tools(pixels, Path(model), has_features=False)
    confirmed = fit_treatments(
        val,
        treatable_images,
        tools,
        explanations=explanations[explanations["status"] == SliceStatus.CONFIRMED],
        causes=causes,
        membership=membership,
    )
    has_label_issue = images["image_id"].isin(label_issues["image_id"])
    refused = find_refused_treatments(
        images,
        is_training & ~has_label_issue.to_numpy(),
        confirmed,
        tools,
        class_names=class_names,
        images_per_class=config.label_safety_images,
        min_share=config.label_change_threshold,
        seed=context.seed,
    )
    for line in describe_refusals(refused):
        context.add_note(line)
    drawable = find_simulators().get(config.simulator or "", ())
    for cause in sorted(set(confirmed["cause"].dropna()) - set(drawable)):
        if config.simulated_share:
            context.add_note(f"{config.simulator} cannot simulate {cause}: images are treated")
    made = prescribe_slices(
        PrescriptionContext(
            frame, is_training, image_rule_masks, rule_masks, rules, val, dose_response, refused
        ),
        confirmed,
        membership,
        remedy_share=config.remedy_share,
        max_repeats=config.max_repeats,
        simulator_use=SimulatorUse(config.simulator, drawable, config.simulated_share),
    )
    readable = [name for name, rule in rules.items() if not collect_reference_ids([rule])]
    test_reach = foresee_planned_reach(
        set(made.plan["slice"]),
        {name: rule_masks[name] for name in readable},
        frame["group"],
        (splits["split"] == "test").to_numpy(),
    )
    for foreseen in test_reach:
        context.add_note(describe_test_reach(*foreseen.values()))
    plan, search = made.plan, None
    if config.search_passes and len(plan) and has_trainable_weights(Path(model)):
        plan, search = _search_plan(
            config,
            context,
            val,
            confirmed,
            plan=plan,
            images=images,
            pixels=pixels,
            splits=splits,
            model=Path(model),
            training=training,
            membership=membership,
        )
    hashes = frozenset(images["content_hash"])
    simulated, simulated_pixels = simulate_plan_images(
        plan, class_names, config.simulated_images, pixels.shape[1], context, hashes
    )
    folder = context.scratch_folder / "exports"
    look_alikes = None
    if config.unlabeled:
        examples = select_slice_examples(val, rule_masks, embeddings, is_training)
        look_alikes = search_unlabeled_images(
            config.unlabeled, context, examples, hashes, Path(model)
        )
    tables = (images, splits, add_sentences(confirmed), membership, label_issues)
    class_requests = add_class_sentences(class_slices)
    return {
        "plan": plan,
        "simulated": simulated,
        "simulated_pixels": simulated_pixels,
        "policy": {
            "search": search,
            "corrections": made.corrections,
            "refused": refused,
            "look_alikes": look_alikes.record if look_alikes else None,
            "test_reach": test_reach,
            "admission": {
                name: measure_admission_shares(rule, image_rule_masks[name], splits["split"])
                for name, rule in rules.items()
            },
            "prescriptions": build_prescription_records(made.prescriptions, plan),
            "decline": _choose_decline_rule(config, attributes, validation_set),
        },
        "exports": write_requests(
            folder, rule_masks, *tables, class_requests, look_alikes.table if look_alikes else None
        ),
    }


def fingerprint_external_inputs(
    config: Config, run_path: Path, earlier_fingerprint: str | None
) -> str:
    """Return a hash of the names and sizes of the unlabeled images, a part of the stage's key.

    Args:
        config: settings of the stage.
        run_path: folder of the run.
        earlier_fingerprint: hash that this run recorded before.
    """
    if config.unlabeled is None:
        return ""
    return fingerprint_files(config.unlabeled, UNLABELED_KEY)


def _search_plan(
    config: Config,
    context: StageContext,
    val: ValidationSet,
    confirmed: pd.DataFrame,
    *,
    plan: pd.DataFrame,
    images: pd.DataFrame,
    pixels: NDArray[np.uint8],
    splits: pd.DataFrame,
    model: Path,
    training: dict[str, Any],
    membership: pd.DataFrame,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the plan to train in full, and the record of the search.

    Each plan is judged on validation after a fine-tune of a few passes on training images.
    """
    training_images = select_training_images(images, splits, pixels, list(val.class_names))
    fitted_images, _ = recreate_holdout_split(training_images, images, training, context.seed)
    plan_trial = PlanTrial(
        model,
        images,
        fitted_images,
        np.asarray(pixels[val.image_rows]),
        # one fine-tune without a plan besides those of the plans
        max(config.search_passes // (1 + config.max_plans), 1),
        config.learning_rate,
        training["augmentation"],
        apply_remedy,
    )

    choice = choose_plan(
        plan,
        confirmed.set_index("slice")["effect"],
        config.max_plans,
        lambda plans: evaluate_plans(plan_trial, plans, context),
        val=val,
        membership=membership,
    )
    result = "none helped"
    for row in choice.tried:
        if row["chosen"]:
            keys = ("slices", "is_whole", "is_reduced")
            result = f"{describe_searched_plan(*(row[key] for key in keys))} is trained"
    context.add_note(
        f"search: {len(choice.tried)} plans tried, {plan_trial.image_passes:,} image passes each "
        f"and as many without a remedy; {result}"
    )
    passes = plan_trial.image_passes * (1 + len(choice.tried))
    return choice.plan, {"passes": passes, "tried": choice.tried, "chosen_on": "val"}


def _choose_decline_rule(
    config: Config, attributes: pd.DataFrame, validation_set: ValidationSet
) -> dict[str, Any]:
    """Return the decline rule on all validation images, label issues included."""
    val = validation_set
    utilities = compute_utilities(val.labels, val.predictions, val.error_costs)
    luminance = get_luminance(attributes, val.image_rows)
    images = AnsweredImages(1.0 - utilities, val.confidences, val.groups)
    return choose_decline_rule(images, config.target_error, luminance)
