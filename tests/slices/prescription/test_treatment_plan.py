from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.domain.rules import Condition, Rule
from pipeline.slices.prescription.treatment_plan import PrescriptionContext, SimulatorUse
from tests.slices.conftest import draw_val

ITEM = SimpleNamespace(
    slice="s1",
    cause="exposure",
    strength_low=0.2,
    strength_high=0.4,
    given="low_light",
    given_low=0.25,
    given_high=0.3,
)
NOBODY = SimulatorUse(None, (), 0.0)


def _ward(refused: list[dict[str, Any]]) -> PrescriptionContext:
    drawn = draw_val()
    val, n = drawn.val, len(drawn.val.frame)
    train = val.frame.assign(image_id=[f"t{k}" for k in range(n)])
    frame = pd.concat([val.frame, train], ignore_index=True)
    members = {"s1": np.concatenate([drawn.dark, drawn.dark])}
    interventions = pd.DataFrame({"remedy": ["exposure", "noise"], "strength": [2.0, 20.0]})
    rules = {"s1": Rule((Condition("luminance", "<=", 60.0),))}
    return PrescriptionContext(
        frame, np.arange(2 * n) >= n, members, members, rules, val, interventions, refused
    )


def test_treated_images_are_outside_the_slice_and_get_what_was_fitted() -> None:
    ward = _ward([])
    plan = ward.build_plan(ITEM, 0.5, NOBODY)
    assert set(plan["image_id"]) == set(
        ward.frame["image_id"][ward.is_training & ~ward.rule_masks["s1"]]
    )
    assert {tuple(r) for r in plan[["remedy", "strength_low", "strength_high"]].to_numpy()} == {
        ("low_light", 0.25, 0.3)
    }


@pytest.mark.parametrize(("remedy", "strength", "left"), [("low_light", 0.27, "bc"), ("exposure", 0.27, "abc"),
                                                      ("low_light", 0.35, "abc")])  # fmt: skip
def test_a_class_is_spared_what_was_refused_for_it_at_these_doses(
    remedy: str, strength: float, left: str
) -> None:
    ward = _ward([{"remedy": remedy, "strength": strength, "from": "a", "to": "b"}])
    labels = ward.frame.set_index("image_id")["label"]
    assert set(labels[ward.build_plan(ITEM, 0.5, NOBODY)["image_id"]]) == set(left)


def test_simulated_views_have_the_cause_and_its_doses() -> None:
    plan = _ward([]).build_plan(ITEM, 0.5, SimulatorUse("gate", ("exposure",), 0.4))
    shares = plan.groupby("remedy")[["probability", "strength_low"]].first()
    assert shares.loc["exposure"].to_list() == pytest.approx([0.2, 0.2])
    assert shares.loc["low_light"].to_list() == pytest.approx([0.3, 0.25])


def test_the_correction_is_the_probed_dose_that_gains_most() -> None:
    ward = _ward([])
    inside = ward.rule_masks["s1"][: len(ward.val.frame)]
    told = ward.choose_correction(ITEM, inside)
    assert (told["remedy"], told["strength"]) == ("exposure", 2.0)
    assert told["helps"]


@pytest.mark.parametrize(
    ("bearing", "most", "times"), [(8, 3, 4.0), (3, 3, 2.0), (8, 1, None), (10, 3, None)]
)
def test_images_without_the_mark_weigh_as_much_as_those_with_it(
    bearing: int, most: int, times: float | None
) -> None:
    ward, column = _ward([]), "mark of a"
    of = (ward.frame["label"] == "a").to_numpy()
    frame = ward.frame.assign(**{column: of & ((of & ward.is_training).cumsum() % 10 < bearing)})
    rule = Rule((Condition(column, "is", "False"),), "a")
    lacking = replace(
        ward, frame=frame, members={"s1": rule.compute_mask(frame)}, rules={"s1": rule}
    )
    plan = lacking.plan_repeats(ITEM, most)
    if times is None:
        assert plan.empty
    else:
        assert set(plan["image_id"]) == set(
            frame.loc[lacking.is_training & of & ~frame[column], "image_id"]
        )
        assert set(zip(plan["remedy"], plan["strength_low"].round(), strict=True)) == {
            ("reweighting", times)
        }
