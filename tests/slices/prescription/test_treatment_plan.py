from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.domain.rules import Condition, Rule
from pipeline.slices.prescription.treatment_plan import PrescriptionContext, SimulatorUse
from tests.slices.conftest import draw_val

DARK_SLICE = SimpleNamespace(
    slice="s1",
    cause="exposure",
    strength_low=0.2,
    strength_high=0.4,
    fitted_remedy="low_light",
    fitted_low=0.25,
    fitted_high=0.3,
    fit_auc=0.9,
    tone_auc=0.9,
)
NO_SIMULATOR = SimulatorUse(None, (), 0.0)
MARK_COLUMN = "mark of a"


def _build_context(*refused: dict[str, Any]) -> PrescriptionContext:
    """Return a context whose training images are copies of the validation images."""
    drawn = draw_val()
    val, count = drawn.val, len(drawn.val.frame)
    training = val.frame.assign(image_id="t" + val.frame["image_id"])
    frame = pd.concat([val.frame, training], ignore_index=True)
    masks = {"s1": np.concatenate([drawn.dark, drawn.dark])}
    interventions = pd.DataFrame({"remedy": ["exposure", "noise"], "strength": [2.0, 20.0]})
    rules = {"s1": Rule((Condition("luminance", "<=", 60.0),))}
    is_training = np.arange(2 * count) >= count
    return PrescriptionContext(
        frame, is_training, masks, masks, rules, val, interventions, [*refused]
    )


def test_training_images_outside_the_slice_get_the_fitted_treatment() -> None:
    context = _build_context()
    plan = context.build_plan(DARK_SLICE, 0.5, NO_SIMULATOR)
    is_treated = context.is_training & ~context.rule_masks["s1"]
    assert set(plan["image_id"]) == set(context.frame["image_id"][is_treated])
    treatments = plan[["remedy", "strength_low", "strength_high"]].drop_duplicates()
    assert treatments.to_numpy().tolist() == [["low_light", 0.25, 0.3]]


@pytest.mark.parametrize(
    ("remedy", "strength", "treated_labels"),
    [("low_light", 0.27, "bc"), ("exposure", 0.27, "abc"), ("low_light", 0.35, "abc")],
)
def test_a_class_is_not_treated_with_what_was_refused_for_it(
    remedy: str, strength: float, treated_labels: str
) -> None:
    refused = {"remedy": remedy, "strength": strength, "from": "a", "to": "b"}
    context = _build_context(refused)
    plan = context.build_plan(DARK_SLICE, 0.5, NO_SIMULATOR)
    labels = context.frame.set_index("image_id")["label"]
    assert set(labels[plan["image_id"]]) == set(treated_labels)


@pytest.mark.parametrize(
    ("tone_auc", "is_shared"), [(0.7, True), (0.89, False), (1.0, False), (float("nan"), False)]
)
def test_tones_of_the_slice_are_used_where_they_resemble_it_more_than_the_remedy(
    tone_auc: float, is_shared: bool
) -> None:
    slice_row = SimpleNamespace(**vars(DARK_SLICE) | {"tone_auc": tone_auc})
    plan = _build_context().build_plan(slice_row, 0.5, NO_SIMULATOR)
    assert (plan["tone_share"] > 0).eq(is_shared).all()
    assert (plan["probability"] == 0.5).all()


def test_simulated_views_have_the_cause_and_its_strengths() -> None:
    simulator = SimulatorUse("gate", ("exposure",), 0.4)
    plan = _build_context().build_plan(DARK_SLICE, 0.5, simulator)
    settings = plan.groupby("remedy")[["probability", "strength_low"]].first()
    assert settings.loc["exposure"].to_list() == pytest.approx([0.2, 0.2])
    assert settings.loc["low_light"].to_list() == pytest.approx([0.3, 0.25])


def test_a_simulator_of_another_cause_is_not_used() -> None:
    plan = _build_context().build_plan(DARK_SLICE, 0.5, SimulatorUse("gate", ("fog",), 1.0))
    assert set(plan["remedy"]) == {"low_light"}
    assert plan["simulator"].isna().all()


def test_the_correction_is_the_probed_strength_of_the_cause() -> None:
    context = _build_context()
    is_member = context.rule_masks["s1"][: len(context.val.frame)]
    correction = context.choose_correction(DARK_SLICE, is_member)
    assert (correction["remedy"], correction["strength"]) == ("exposure", 2.0)
    assert correction["gain"]["low"] > 0
    assert correction["helps"]


def test_images_of_a_rare_slice_are_repeated_to_its_validation_share() -> None:
    context = _build_context()
    is_rare = context.rule_masks["s1"] & (~context.is_training | (np.arange(1920) % 8 < 3))
    rare = replace(context, rule_masks={"s1": is_rare})
    plan = rare.plan_repeats(DARK_SLICE, 5)
    assert set(plan["remedy"]) == {"oversampling"}
    member_ratio = is_rare[~context.is_training].sum() / is_rare[context.is_training].sum()
    assert plan["strength_low"].unique().tolist() == [round(member_ratio)]
    assert set(plan["image_id"]) == set(context.frame["image_id"][is_rare & context.is_training])


@pytest.mark.parametrize(
    ("bearing", "max_repeats", "times"), [(8, 3, 4.0), (3, 3, 2.0), (8, 1, None), (10, 3, None)]
)
def test_images_without_the_mark_weigh_like_those_with_it(
    bearing: int, max_repeats: int, times: float | None
) -> None:
    context = _build_context()
    is_of_class = (context.frame["label"] == "a").to_numpy()
    number = (is_of_class & context.is_training).cumsum()
    frame = context.frame.assign(**{MARK_COLUMN: is_of_class & (number % 10 < bearing)})
    rule = Rule((Condition(MARK_COLUMN, "is", "False"),), "a")
    unmarked = replace(
        context, frame=frame, rule_masks={"s1": rule.compute_mask(frame)}, rules={"s1": rule}
    )
    plan = unmarked.plan_repeats(DARK_SLICE, max_repeats)
    if times is None:
        assert plan.empty
        return
    is_weighted = context.is_training & is_of_class & ~frame[MARK_COLUMN]
    assert set(plan["image_id"]) == set(frame.loc[is_weighted, "image_id"])
    assert set(plan["remedy"]) == {"reweighting"}
    assert plan["strength_low"].round().unique().tolist() == [times]
