"""Before and the arms side by side on val; then the sealed test, opened once for all arms and seeds.

What `comparison` holds, besides the keys of the graph page:
outcome: no failures | no slice | no plan | no candidates | refused on val | used up | tested; counts of each step.
val, test: n, groups, alpha, arms {before, control, targeted, generic: [scores by seed]}, non_inferiority; for overall,
slices, primary (the planned slices together), outside (everybody else): each arm's accuracy with its interval, gain
over control with bound and `within_noise`, first_seed, over_generic, groups_needed. costs: the errors that
cost less. budget: image passes of each arm. primary: the endpoint declared before the opening. power.
decline: by arm, the rule chosen on val, its coverage and error on test. corrections: by slice and arm, on val and test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.config import StageSettings
from pipeline.contracts import StageContext, StageOutputs
from pipeline.domain.statuses import ComparisonOutcome
from pipeline.domain.validation_set import ValidationSet
from pipeline.remedies import apply_remedy
from pipeline.slices.candidates.rule_admission import (
    collect_reference_ids,
    compute_slice_masks,
    measure_cosine_distances,
    parse_frozen_rules,
)
from pipeline.slices.prescription.comparison_inputs import ComparisonInputs, get_luminance
from pipeline.statistics import error_costs
from pipeline.statistics.model_comparison import Mask, ModelComparison, ModelOutput
from pipeline.statistics.paired_comparison import HarmMargins
from pipeline.statistics.prediction_changes import (
    build_prediction_changes,
    select_changed_images,
    stack_probabilities,
)
from pipeline.statistics.served_decisions import (
    choose_decline_rules,
    evaluate_corrections,
    mark_declined_images,
)
from pipeline.statistics.test_power import build_power_row
from pipeline.storage.artifact_store import compute_key, hash_content, read_json
from pipeline.storage.test_ledger import build_sealed_record, open_test_set

ImageTransform = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
IMAGES_PER_CHUNK = 4096  # images held in memory at once
LEDGER_FILE = "ledger.jsonl"
PRIMARY_ENDPOINT = (
    "gain of targeted over control on the images that the planned slices' rules admit"
)
WEIGHTS_FILE = "model.safetensors"


class Config(StageSettings):
    """Settings of the comparison."""

    alpha: float = Field(
        0.05, gt=0, lt=0.5, description="level of val's bounds, and all that a test set may spend"
    )
    harm_margin: float = Field(
        0.01, gt=0, lt=1, description="overall loss, as a share, that is not yet worse"
    )
    class_harm_margin: float = Field(
        0.03, gt=0, lt=1, description="loss of a class that is not yet worse"
    )
    min_class_groups: int = Field(
        20, ge=2, description="groups from which a class is judged by itself"
    )
    max_heat_maps: int = Field(60, ge=0, description="most images with heat maps")

    @property
    def margins(self) -> HarmMargins:
        """What is not yet inferior."""
        return HarmMargins(self.harm_margin, self.class_harm_margin, self.min_class_groups)


def _compute_logits(
    weights: Path,
    inputs: ComparisonInputs,
    rows: NDArray[np.intp],
    context: StageContext,
    transform: ImageTransform = lambda pixels: pixels,
) -> tuple[Any, float]:
    """Logits float32 [rows, classes] of a model, and the temperature of the one before."""
    from pipeline.learning.inference.model_outputs import compute_logits
    from pipeline.learning.models.backbone import load_model

    model, meta = load_model(
        inputs.model_folder, str(weights.resolve())
    )  # the arms share its model.json
    starts = context.track_progress(
        range(0, len(rows), IMAGES_PER_CHUNK),
        total=-(-len(rows) // IMAGES_PER_CHUNK),
        unit=f"parts by {weights.stem}",
    )
    parts = [
        compute_logits(
            model, transform(inputs.pixels[rows[start : start + IMAGES_PER_CHUNK]]), meta
        )
        for start in starts
    ]
    return np.concatenate(parts), float(meta.get("temperature") or 1.0)


def _evaluate_corrections(
    inputs: ComparisonInputs,
    policy: dict[str, Any],
    comparison: ModelComparison,
    context: StageContext,
    val_gains: list[dict[str, Any]] | None = None,
) -> tuple[list[dict[str, Any]], ModelComparison]:
    """What the policy's corrections bring each model that may be in force on val, where their conditions are met, and
    what it then answers; with what val has chosen: on test."""
    rows = inputs.validation_rows if val_gains is None else inputs.test_rows
    helped = (
        None
        if val_gains is None
        else {(row["slice"], row["arm"]) for row in val_gains if row["helps"]}
    )
    weights = {"before": inputs.model_folder / WEIGHTS_FILE} | {
        r["arm"]: inputs.candidates_folder / r["file"] for r in reversed(inputs.candidate_runs)
    }
    helpful = [item for item in policy["corrections"] if item["helps"]]

    def ask(arm: str, item: dict[str, Any], inside: Mask) -> NDArray[np.float32]:
        def change(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return apply_remedy(item["remedy"], pixels, item["strength"], item["strength"], context.seed)

        return np.asarray(_compute_logits(weights[arm], inputs, rows[inside], context, change)[0])

    arrived = (
        _build_rule_masks(inputs, rows, is_opened=True, should_match_label=False) if helpful else {}
    )
    return evaluate_corrections(comparison, arrived, helpful, ask, helped)


def _iterate_candidate_outputs(
    inputs: ComparisonInputs, rows: NDArray[np.intp], context: StageContext
) -> Iterator[ModelOutput]:
    for r in inputs.candidate_runs:
        logits, temperature = _compute_logits(
            inputs.candidates_folder / r["file"], inputs, rows, context
        )
        yield ModelOutput(
            r["arm"], int(r["seed"]), logits, float(r.get("temperature") or temperature)
        )


def _load_baseline_output(inputs: ComparisonInputs) -> ModelOutput:
    temperature = read_json(inputs.model_folder / "model.json").get("temperature", 1.0)
    return ModelOutput("before", None, np.asarray(inputs.validation_set.logits), float(temperature))


def _build_member_masks(inputs: ComparisonInputs) -> dict[str, Mask]:
    return {
        name: inputs.validation_set.find_members(name, inputs.membership)
        for name in inputs.confirmed_slices
    }


def _compute_named_distances(
    inputs: ComparisonInputs, rows: NDArray[np.intp], image_ids: set[str]
) -> dict[str, NDArray[np.float32]]:
    """Distances of the rows to the images that rules name, in frozen packaged features."""
    from pipeline.learning.inference.model_outputs import extract_features

    if not image_ids:
        return {}
    named = np.flatnonzero(inputs.images["image_id"].isin(image_ids))
    vectors = extract_features(np.asarray(inputs.pixels[np.concatenate([named, rows])]))
    away = measure_cosine_distances(vectors, range(len(named)))[:, len(named) :]
    return dict(zip(inputs.images["image_id"].iloc[named], away, strict=True))


def _build_rule_masks(
    inputs: ComparisonInputs,
    rows: NDArray[np.intp],
    *,
    is_opened: bool,
    should_match_label: bool = True,
) -> dict[str, Mask]:
    """Which rows each confirmed slice's frozen rule admits; labeled: by its class too, where it has one. Before the
    opening only rules that need no pixel of the test can be applied; the others are left out."""
    rules = parse_frozen_rules(inputs.explanations)
    near = (
        _compute_named_distances(inputs, rows, collect_reference_ids(rules.values()))
        if is_opened
        else {}
    )
    usable = {
        name: rule for name, rule in rules.items() if is_opened or not collect_reference_ids([rule])
    }
    return compute_slice_masks(
        inputs.condition_frame.iloc[rows].reset_index(drop=True),
        usable,
        near,
        should_use_label=should_match_label,
    )


def _hash_comparison(config: Config, inputs: ComparisonInputs) -> str:
    """What is judged and by which margins: another endpoint or a wider margin is another opening."""
    files = [inputs.candidates_folder / r["file"] for r in inputs.candidate_runs] + [
        inputs.model_folder / WEIGHTS_FILE
    ]
    weighed = [inputs.error_costs] if inputs.error_costs else []
    return compute_key(
        [hash_content(f) for f in files if f.exists()],
        vars(config.margins),
        inputs.planned_slices,
        *weighed,
    )


def _compare_on_test(context: StageContext, inputs: ComparisonInputs) -> ModelComparison:
    """The test as one comparison; called only after the opening is on disk."""
    logits, temperature = _compute_logits(
        inputs.model_folder / WEIGHTS_FILE, inputs, inputs.test_rows, context
    )
    before = ModelOutput("before", None, logits, temperature)
    masks = _build_rule_masks(inputs, inputs.test_rows, is_opened=True)
    return inputs.build_comparison(
        inputs.test_rows,
        [before, *_iterate_candidate_outputs(inputs, inputs.test_rows, context)],
        masks,
    )


def _evaluate_serving(
    context: StageContext,
    inputs: ComparisonInputs,
    policy: dict[str, Any],
    val: ModelComparison,
    test: ModelComparison | None,
) -> tuple[dict[str, Any], dict[str, Mask]]:
    """Whom each model that may be in force answers, and what correcting images brings it: chosen on val, shown on
    test. And by arm whether it declines, bool [val]."""
    chosen, served = _evaluate_corrections(inputs, policy, val, context)
    there, test_served = (
        _evaluate_corrections(inputs, policy, test, context, chosen) if test else (None, None)
    )
    light = (
        get_luminance(inputs.attributes, inputs.validation_rows),
        get_luminance(inputs.attributes, inputs.test_rows),
    )
    rules = choose_decline_rules(served, test_served, policy["decline"]["target_error"], light)
    return {"decline": rules, "corrections": {"val": chosen, "test": there}}, mark_declined_images(
        served, rules, light[0]
    )


def _build_split_record(
    config: Config, inputs: ComparisonInputs, comparison: ModelComparison, alpha: float
) -> dict[str, Any]:
    """A split's comparison; primary: all planned slices together; outside: everybody else; None without a plan."""
    record = comparison.build_record(alpha, config.margins)
    for row in record["slices"]:
        row["planned"] = row["slice"] in inputs.planned_slices
    if not inputs.planned_slices:
        return {**record, "primary": None, "outside": None}
    planned = np.logical_or.reduce([comparison.slice_masks[name] for name in inputs.planned_slices])
    return {
        **record,
        "primary": comparison.compare_subset(planned, alpha),
        "outside": comparison.compare_subset(~planned, alpha),
    }


def _compare_on_val(
    config: Config, inputs: ComparisonInputs, comparison: ModelComparison
) -> dict[str, Any]:
    """The comparison on val, and whether it earned a look at the test."""
    record = _build_split_record(config, inputs, comparison, config.alpha)
    gained = [row["slice"] for row in record["slices"] if row["planned"] and row["passed"]]
    worse = record["non_inferiority"]
    return {**record, "gained": gained, "passed": bool(gained and worse and worse["passed"])}


def _build_power_rows(
    inputs: ComparisonInputs, val_record: dict[str, Any], test_record: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """Groups at hand and groups that would do, for each test; on the sealed test foreseen from val's gains."""
    rows = [
        build_power_row(
            "overall not worse", "val", val_record["overall"], val_record["overall_needed"]
        )
    ]
    rows += [
        build_power_row(f"gain of {s['slice']}", "val", s, s["groups_needed"])
        for s in val_record["slices"]
    ]
    if test_record:
        rows.append(
            build_power_row(
                "overall not worse", "test", test_record["overall"], test_record["overall_needed"]
            )
        )
        rows.append(
            build_power_row(
                "gain of the planned slices",
                "test",
                test_record["primary"],
                test_record["primary"]["groups_needed"],
            )
        )
        return rows + [
            build_power_row(f"gain of {s['slice']}", "test", s, s["groups_needed"])
            for s in test_record["slices"]
        ]
    groups, needed = (
        inputs.images["group"].iloc[inputs.test_rows],
        {s["slice"]: s["groups_needed"] for s in val_record["slices"]},
    )
    for name, mask in _build_rule_masks(inputs, inputs.test_rows, is_opened=False).items():
        ahead = {"n": int(mask.sum()), "groups": groups[mask].nunique(), "gain": None}
        rows.append(build_power_row(f"gain of {name}", "test", ahead, needed[name]))
    return rows


def _decide_outcome(
    inputs: ComparisonInputs, comparison: ModelComparison, val_record: dict[str, Any]
) -> tuple[ComparisonOutcome | None, str]:
    """How far this run came before the test, and why no further; None where val has passed."""
    if not inputs.confirmed_slices:
        if comparison.compute_correctness("before").all():
            return ComparisonOutcome.NO_FAILURES, "the model makes no mistake on val"
        return ComparisonOutcome.NO_SLICE, "no slice was confirmed"
    if not inputs.planned_slices:
        return ComparisonOutcome.NO_PLAN, "no confirmed slice has a remedy for training images"
    if not comparison.has_comparison_arms:
        return ComparisonOutcome.NO_CANDIDATES, "there is no targeted and control model to compare"
    if not len(inputs.test_rows):
        return ComparisonOutcome.NO_TEST, "there is no labeled image in test"
    if not val_record["passed"]:
        shown = (
            "targeted may be worse than control"
            if val_record["gained"]
            else "no planned slice gained over the control"
        )
        return ComparisonOutcome.REFUSED_ON_VAL, f"val has not passed: {shown}"
    return None, ""


def _build_comparison(
    config: Config,
    context: StageContext,
    inputs: ComparisonInputs,
    policy: dict[str, Any],
    comparison: ModelComparison,
) -> tuple[dict[str, Any], dict[str, Mask]]:
    """The record, and by arm whether it declines, bool [val]."""
    val, primary = (
        _compare_on_val(config, inputs, comparison),
        {"endpoint": PRIMARY_ENDPOINT, "slices": inputs.planned_slices},
    )
    test, sealed_trial = None, None
    outcome, reason = _decide_outcome(inputs, comparison, val)
    opening = build_sealed_record(reason)
    if not outcome:
        groups = inputs.images["group"].iloc[inputs.test_rows].astype(str)
        declared, ledger = (
            f"{PRIMARY_ENDPOINT}: {', '.join(inputs.planned_slices)}",
            context.runs_folder / LEDGER_FILE,
        )
        opened = open_test_set(
            ledger, context.run_id, groups, _hash_comparison(config, inputs), config.alpha, declared
        )
        opening, outcome = (
            opened.build_record(),
            ComparisonOutcome.TESTED if opened.opened else ComparisonOutcome.USED_UP,
        )
        sealed_trial = _compare_on_test(context, inputs) if opened.opened else None
        test = (
            _build_split_record(config, inputs, sealed_trial, opened.alpha)
            if sealed_trial
            else None
        )
    context.add_note(
        f"test opened, number {opening['number']}"
        if test
        else f"test stays sealed: {opening['reason']}"
    )
    counts = {
        "errors": int((~comparison.compute_correctness("before")).sum()),
        "slices": len(inputs.explanations),
        "confirmed": len(inputs.confirmed_slices),
        "planned": len(inputs.planned_slices),
        "seeds": len(comparison.select_arm("targeted")),
    }
    serving, declines = _evaluate_serving(context, inputs, policy, comparison, sealed_trial)
    record = {
        "outcome": outcome,
        "reason": opening["reason"],
        "counts": counts,
        "alpha": config.alpha,
        "margins": {
            "overall": config.harm_margin,
            "by_class": config.class_harm_margin,
            "many": config.min_class_groups,
        },
        "costs": error_costs.list_reduced_costs(inputs.error_costs, inputs.class_names),
        "budget": inputs.arm_budgets,
        "val": val,
        "test": test,
        "opening": opening,
        "primary": primary,
        "power": _build_power_rows(inputs, val, test),
        **serving,
    }
    return record, declines


def _compute_heat_maps(
    inputs: ComparisonInputs,
    flips: pd.DataFrame,
    selected_rows: NDArray[np.intp],
    context: StageContext,
) -> NDArray[np.uint8]:
    """Heat maps uint8 [shown, 2, side, side] for what the model said before and after; none where it has no map."""
    nothing = np.zeros((0, 2, *inputs.pixels.shape[1:3]), np.uint8)
    if not len(selected_rows):
        return nothing
    from pipeline.learning.inference.saliency_maps import NoHeatMapError, compute_heat_maps

    said = flips[["before", "after"]].iloc[selected_rows].to_numpy()
    targets = np.array(
        [[inputs.class_names.index(name) for name in row] for row in said], dtype=np.intp
    )
    before = inputs.model_folder / WEIGHTS_FILE
    after = next(
        (
            inputs.candidates_folder / r["file"]
            for r in inputs.candidate_runs
            if r["arm"] == "targeted"
        ),
        before,
    )
    sources = [(inputs.model_folder, before), (inputs.model_folder, after)]
    try:
        return compute_heat_maps(
            sources,
            np.asarray(inputs.pixels[inputs.validation_rows[selected_rows]]),
            targets,
            context.track_progress,
        )
    except NoHeatMapError as error:
        context.add_note(f"no heat maps: {error}")
        return nothing


def run(
    config: Config,
    context: StageContext,
    *,
    images: pd.DataFrame,
    pixels: NDArray[np.uint8],
    splits: pd.DataFrame,
    attributes: pd.DataFrame,
    model: Path,
    validation_set: ValidationSet,
    marks: pd.DataFrame,
    membership: pd.DataFrame,
    explanations: pd.DataFrame,
    policy: dict[str, Any],
    plan: pd.DataFrame,
    candidates: Path,
) -> StageOutputs:
    """Judge the candidates on val and, where val has passed, on the sealed test."""
    data = (images, pixels, splits, attributes, marks)
    inputs = ComparisonInputs(
        *data, Path(model), validation_set, membership, explanations, plan, Path(candidates)
    )
    models = [
        _load_baseline_output(inputs),
        *_iterate_candidate_outputs(inputs, inputs.validation_rows, context),
    ]
    trial = inputs.build_comparison(inputs.validation_rows, models, _build_member_masks(inputs))
    flips = build_prediction_changes(validation_set.image_ids, trial)
    shown = select_changed_images(flips, config.max_heat_maps)
    heat = _compute_heat_maps(inputs, flips, shown, context)
    flips.loc[shown[: len(heat)], "saliency"] = np.arange(len(heat))
    comparison, declines = _build_comparison(config, context, inputs, policy, trial)
    flips["declined_before"] = declines["before"]
    flips["declined_after"] = declines["targeted" if trial.has_comparison_arms else "before"]
    return {
        "comparison": comparison,
        "flips": flips,
        "answers": stack_probabilities(trial),
        "saliency": heat,
    }
