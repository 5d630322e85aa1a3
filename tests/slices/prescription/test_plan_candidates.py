import numpy as np
import pandas as pd
import pytest

from pipeline.slices.prescription.plan_candidates import build_plan_candidates

PLAN = pd.DataFrame(
    {"slice": ["s1", "s2", "s2", "s3"], "remedy": "blur", "probability": [0.2, 0.3, 0.3, 1.0]}
)
EFFECTS = pd.Series({"s1": 0.1, "s3": np.nan, "s2": 0.4, "unplanned": 0.9})


def test_the_largest_probed_effect_is_tried_alone_and_the_rest_join_one_after_another() -> None:
    found = build_plan_candidates(PLAN, EFFECTS, 9)
    assert [c.description for c in found] == [
        "s2 alone",
        "s2 and s1 only",
        "s2 and s1 and s3",
        "s2 and s1 and s3, in half as many views",
    ]
    everything = {"s1", "s2", "s3"}
    assert [set(c.plan["slice"]) for c in found] == [{"s2"}, {"s1", "s2"}, everything, everything]
    assert found[-1].plan["probability"].tolist() == [0.1, 0.15, 0.15, 0.5]
    assert found[-2].plan["probability"].tolist() == PLAN["probability"].tolist()


@pytest.mark.parametrize("most", [1, 2, 3])
def test_few_tries_keep_the_simplest(most: int) -> None:
    found = build_plan_candidates(PLAN, EFFECTS, most)
    assert len(found) == most
    assert most == 1 or found[0].description == "s2 alone"


def test_one_slice_and_none() -> None:
    one = build_plan_candidates(PLAN[PLAN["slice"] == "s1"], EFFECTS, 4)
    assert [c.description for c in one] == ["s1", "s1, in half as many views"]
    assert build_plan_candidates(PLAN.iloc[:0], EFFECTS, 4) == []
