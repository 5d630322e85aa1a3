"""Stage `compare`: compare the arms on validation, then once on the sealed test set.

`comparison` holds, besides the keys of the graph page:

- outcome: a `ComparisonOutcome`. counts: errors, slices, confirmed and planned slices, seeds.
- champion: whether the model in force could be compared (`ChampionStatus`), and its run.
- val and test (null while sealed): n, groups, alpha; arms, the scores of each arm by seed; safety,
  by reference arm: the change overall, outside the planned slices, of each class, of each slice and
  of each class in each slice; and for overall, each of slices, primary (the planned slices
  together) and outside (all other images): the accuracy of each arm with its interval, the gain
  over each reference arm with its bound and `within_noise`, over_generic and groups_needed. In
  slices every class counts alike. Of the test set there are aggregates only.
- foreseen: what the sealed test can show about the planned slices.
- costs: the errors that cost less than the worst. budget: image passes of each arm. primary: the
  endpoint that was declared before the opening. power: what each test can decide.
- ladder: what each step of the remedy added on validation. real_images: by half, the validation
  images that arms were trained on. Both null without candidates.
- decline: by arm, the rule chosen on validation, its coverage and error on test. corrections: by
  slice and arm, their gain on validation and on test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.config import StageSettings
from pipeline.contracts import StageContext, StageOutputs
from pipeline.domain.validation_set import ValidationSet
from pipeline.learning.inference.saliency_maps import NoHeatMapError, compute_heat_maps
from pipeline.report.sentences.comparison_sentences import describe_opening_reason
from pipeline.slices.comparison.arm_predictions import (
    WEIGHTS_FILE,
    ArmPredictor,
    add_other_classes,
    find_admitted_rows,
    find_val_members,
)
from pipeline.slices.comparison.champion_arm import ChampionArm, find_champion_arm
from pipeline.slices.comparison.comparison_inputs import ComparisonInputs
from pipeline.slices.comparison.comparison_record import (
    OUTCOMES,
    build_split_record,
    find_sealing_reason,
    foresee_test,
    judge_val_record,
    list_power_rows,
    list_sealed_power_rows,
)
from pipeline.slices.comparison.correction_gains import evaluate_served_decisions
from pipeline.slices.comparison.remedy_ladder import LADDER_FILE
from pipeline.slices.comparison.seed_stages import SEEDS_FILE
from pipeline.slices.prescription.real_images import REAL_IMAGES_FILE
from pipeline.statistics.classification.error_costs import list_reduced_costs
from pipeline.statistics.classification.prediction_changes import (
    build_prediction_changes,
    select_changed_images,
    stack_probabilities,
)
from pipeline.statistics.gains.harm_assessment import HarmMargins
from pipeline.statistics.model_comparison import Mask, ModelComparison
from pipeline.storage.artifact_store import compute_key, hash_content
from pipeline.storage.champion_registry import fingerprint_bundle, read_recorded_champion
from pipeline.storage.test_ledger import build_sealed_record, compute_opening_alpha, open_test_set

LEDGER_FILE = "ledger.jsonl"
PRIMARY_ENDPOINT = (
    "gain of targeted over control on the images that the planned slices' rules admit"
)


class Config(StageSettings):
    """Settings of the comparison."""

    alpha: float = Field(
        0.05,
        gt=0,
        lt=0.5,
        description="level of the bounds on val, and of all openings of a test set together",
    )
    harm_margin: float = Field(
        0.01,
        gt=0,
        lt=1,
        description="loss of accuracy overall, as a share, that does not count as worse",
    )
    class_harm_margin: float = Field(
        0.03, gt=0, lt=1, description="loss of a class or a slice that does not count as worse"
    )
    max_loss_probability: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="highest probability that a class or a slice loses more than its margin",
    )
    min_test_power: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="probability of showing the gain below which the test set stays sealed",
    )
    max_heat_maps: int = Field(60, ge=0, description="images at most with heat maps")

    @property
    def margins(self) -> HarmMargins:
        """Return the losses that do not count as worse."""
        return HarmMargins(self.harm_margin, self.class_harm_margin, self.max_loss_probability)


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
    """Return `comparison`, `flips`, `answers` and `saliency`.

    The test set is opened only if validation has passed.

    Args:
        config: settings of the stage.
        context: seed, progress, notes and folders.
        images: the artifact of that name, as the further arguments.
    """
    inputs = ComparisonInputs(
        images,
        pixels,
        splits,
        attributes,
        marks,
        Path(model),
        validation_set,
        membership,
        explanations,
        plan,
        Path(candidates),
    )
    predictor = ArmPredictor(inputs, context)
    champion = find_champion_arm(
        context, inputs.model_folder, inputs.class_names, int(pixels.shape[1])
    )
    val_rows = inputs.validation_rows
    candidates_on_val = predictor.predict_candidates(val_rows)
    champion_on_val = []
    if candidates_on_val and champion.has_seen(validation_set.groups):
        context.add_note(
            "the model in force was trained on validation images of an earlier run: on validation "
            "it is not compared, on test it is"
        )
    elif candidates_on_val:
        champion_on_val = champion.predict(pixels, val_rows, context)
    val_members = find_val_members(inputs)
    val = inputs.build_comparison(
        val_rows,
        [predictor.load_val_baseline(), *champion_on_val, *candidates_on_val],
        val_members,
        add_other_classes(inputs, val_rows, val_members),
    )
    flips = build_prediction_changes(validation_set.image_ids, val)
    changed_rows = select_changed_images(flips, config.max_heat_maps)
    heat_maps = _compute_heat_maps(inputs, flips, changed_rows, context)
    flips.loc[changed_rows[: len(heat_maps)], "saliency"] = np.arange(len(heat_maps))
    comparison, is_declined = _compare(config, predictor, champion, policy, val)
    flips["declined_before"] = is_declined["before"]
    flips["declined_after"] = is_declined["targeted" if val.has_comparison_arms else "before"]
    return {
        "comparison": comparison,
        "flips": flips,
        "answers": stack_probabilities(val),
        "saliency": heat_maps,
    }


def fingerprint_external_inputs(
    config: Config, run_path: Path, earlier_fingerprint: str | None
) -> str:
    """Return a hash of the champion in force when the run began, a part of the stage's key.

    Args:
        config: settings of the stage.
        run_path: folder of the run.
        earlier_fingerprint: hash that this run recorded before.
    """
    if earlier_fingerprint is not None:
        return earlier_fingerprint
    pointer = read_recorded_champion(run_path)
    folder = run_path.parents[1] / str(pointer["bundle"]) if pointer else None
    return fingerprint_bundle(folder if folder and folder.is_dir() else None)


def _compare(
    config: Config,
    predictor: ArmPredictor,
    champion: ChampionArm,
    policy: dict[str, Any],
    val: ModelComparison,
) -> tuple[dict[str, Any], dict[str, Mask]]:
    """Return the record, and by arm whether it declines a validation image."""
    inputs = predictor.inputs
    planned_slices = inputs.planned_slices
    val_record = judge_val_record(
        build_split_record(val, planned_slices, config.alpha, config.margins), val.arm_in_force
    )
    admitted = find_admitted_rows(inputs, inputs.test_rows, can_read_pixels=False)
    opening_alpha = compute_opening_alpha(config.alpha, 1)
    foreseen = foresee_test(inputs, val, val_record, admitted, opening_alpha)
    reason = find_sealing_reason(inputs, val, val_record, foreseen, config.min_test_power)
    opening = build_sealed_record(reason) if reason else _open_test_set(config, predictor, champion)
    test = _compare_on_test(predictor, champion) if opening["opened"] else None
    test_record = None
    if test:
        test_record = build_split_record(test, planned_slices, opening["alpha"], config.margins)
    context = predictor.context
    context.add_note(
        f"test opened, number {opening['number']}"
        if test
        else f"test stays sealed: {describe_opening_reason(opening['reason'])}"
    )
    power = list_power_rows("val", val_record)
    if test_record:
        power += list_power_rows("test", test_record)
    else:
        power += list_sealed_power_rows(inputs, val_record, admitted)
    served = evaluate_served_decisions(predictor, policy, val, test)
    record = {
        "outcome": OUTCOMES[opening["reason"]],
        "counts": {
            "errors": int((~val.compute_correctness("before")).sum()),
            "slices": len(inputs.explanations),
            "confirmed": len(inputs.confirmed_slices),
            "planned": len(planned_slices),
            "seeds": len(val.select_seeds("targeted")),
        },
        "alpha": config.alpha,
        "margins": {
            "overall": config.harm_margin,
            "by_class": config.class_harm_margin,
            "max_loss_probability": config.max_loss_probability,
        },
        "champion": champion.build_record(),
        "foreseen": foreseen,
        "costs": list_reduced_costs(inputs.error_costs, inputs.class_names),
        "budget": inputs.arm_budgets,
        "seeds": inputs.load_record(SEEDS_FILE),
        "ladder": inputs.load_record(LADDER_FILE),
        "real_images": inputs.load_record(REAL_IMAGES_FILE),
        "val": val_record,
        "test": test_record,
        "opening": opening,
        "primary": {"endpoint": PRIMARY_ENDPOINT, "slices": planned_slices},
        "power": power,
        **served.record,
    }
    return record, served.is_declined


def _open_test_set(
    config: Config, predictor: ArmPredictor, champion: ChampionArm
) -> dict[str, Any]:
    """Return the record of the opening, which is on disk before the test images are read."""
    inputs = predictor.inputs
    context = predictor.context
    opening = open_test_set(
        context.runs_folder / LEDGER_FILE,
        context.run_id,
        inputs.images["group"].iloc[inputs.test_rows].astype(str),
        _hash_comparison(config, inputs, champion),
        config.alpha,
        f"{PRIMARY_ENDPOINT}: {', '.join(inputs.planned_slices)}",
    )
    return opening.build_record()


def _hash_comparison(config: Config, inputs: ComparisonInputs, champion: ChampionArm) -> str:
    """Return a hash of models, margins and endpoint; a change of any makes another opening."""
    files = [inputs.candidates_folder / run["file"] for run in inputs.candidate_runs]
    files.append(inputs.model_folder / WEIGHTS_FILE)
    if champion.folder:
        files.append(champion.folder / WEIGHTS_FILE)
    return compute_key(
        [hash_content(file) for file in files if file.exists()],
        vars(config.margins),
        inputs.planned_slices,
        *([inputs.error_costs] if inputs.error_costs else []),
    )


def _compare_on_test(predictor: ArmPredictor, champion: ChampionArm) -> ModelComparison:
    """Return the comparison on test; called only after the opening is on disk."""
    inputs = predictor.inputs
    rows = inputs.test_rows
    models = [
        predictor.predict_baseline(rows),
        *champion.predict(inputs.pixels, rows, predictor.context),
        *predictor.predict_candidates(rows),
    ]
    slice_masks = find_admitted_rows(inputs, rows, can_read_pixels=True)
    condition_masks = add_other_classes(inputs, rows, slice_masks)
    return inputs.build_comparison(rows, models, slice_masks, condition_masks)


def _compute_heat_maps(
    inputs: ComparisonInputs,
    flips: pd.DataFrame,
    changed_rows: NDArray[np.intp],
    context: StageContext,
) -> NDArray[np.uint8]:
    """Return uint8 [changed, 2, side, side]: heat maps of the predictions before and after.

    Empty if the model has none.
    """
    nothing = np.zeros((0, 2, *inputs.pixels.shape[1:3]), np.uint8)
    if not len(changed_rows):
        return nothing
    class_index = pd.Index(inputs.class_names)
    changed = flips.iloc[changed_rows]
    targets = np.stack(
        [class_index.get_indexer(pd.Index(changed[arm])) for arm in ("before", "after")], axis=1
    )
    before = inputs.model_folder / WEIGHTS_FILE
    rows = inputs.validation_rows[changed_rows]
    weights = [(before, np.ones(len(rows), dtype=np.bool_))]
    for run in inputs.candidate_runs:
        if run["arm"] == "targeted":
            weights = inputs.select_weights(run, rows)
            break
    maps = np.zeros((len(rows), 2, *inputs.pixels.shape[1:3]), np.uint8)
    try:
        for after, is_inside in weights:
            maps[is_inside] = compute_heat_maps(
                [(inputs.model_folder, before), (inputs.model_folder, after)],
                np.asarray(inputs.pixels[rows[is_inside]]),
                targets[is_inside],
                context.track_progress,
            )
        return maps
    except NoHeatMapError as error:
        context.add_note(f"no heat maps: {error}")
        return nothing
