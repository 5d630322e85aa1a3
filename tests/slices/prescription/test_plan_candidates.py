import numpy as np
import pandas as pd
import pytest

from pipeline.slices.prescription.plan_candidates import build_plan_candidates

PLAN = pd.DataFrame(
    {"slice": ["s1", "s2", "s2", "s3"], "remedy": "blur", "probability": [0.2, 0.3, 0.3, 1.0]}
)
EFFECTS = pd.Series({"s1": 0.1, "s3": np.nan, "s2": 0.4, "unplanned": 0.9})


def test_slices_are_added_by_their_effect_and_the_whole_plan_is_reduced_last() -> None:
    candidates = build_plan_candidates(PLAN, EFFECTS, 9)
    facts = [(item.slices, item.is_whole, item.is_reduced) for item in candidates]
    assert facts == [
        (("s2",), False, False),
        (("s2", "s1"), False, False),
        (("s2", "s1", "s3"), True, False),
        (("s2", "s1", "s3"), True, True),
    ]
    assert all(set(item.plan["slice"]) == set(item.slices) for item in candidates)
    assert candidates[-1].plan["probability"].tolist() == [0.1, 0.15, 0.15, 0.5]
    assert candidates[-2].plan["probability"].tolist() == PLAN["probability"].tolist()


@pytest.mark.parametrize(
    ("max_candidates", "slice_counts"), [(1, [3]), (2, [1, 3]), (3, [1, 2, 3])]
)
def test_few_candidates_keep_the_simplest_and_the_whole(
    max_candidates: int, slice_counts: list[int]
) -> None:
    candidates = build_plan_candidates(PLAN, EFFECTS, max_candidates)
    assert [candidate.plan["slice"].nunique() for candidate in candidates] == slice_counts


def test_a_single_slice_has_two_candidates_and_no_slice_none() -> None:
    candidates = build_plan_candidates(PLAN[PLAN["slice"] == "s1"], EFFECTS, 4)
    facts = [(item.slices, item.is_whole, item.is_reduced) for item in candidates]
    assert facts == [(("s1",), True, False), (("s1",), True, True)]
    assert build_plan_candidates(PLAN.iloc[:0], EFFECTS, 4) == []
