import numpy as np
import pandas as pd

from pipeline.domain.rules import Condition, Rule
from pipeline.slices.candidates.cross_fitting import (
    ProposedSlice,
    assign_halves,
    build_slice_tables,
    compute_overlap,
)
from pipeline.slices.candidates.rule_application import AppliedRule
from tests.slices.conftest import Draw

INTERVENTIONS = pd.DataFrame({"remedy": ["exposure", "blur"], "strength": [2.0, 1.2]})
RULES = [Rule((Condition("luminance", "<=", limit),)) for limit in (50.0, 60.0)]


def test_every_other_fold_is_a_half() -> None:
    assert assign_halves(np.array([7, 2, 4, 4, 9])).tolist() == [0, 0, 1, 1, 1]


def test_the_rule_of_a_half_is_applied_to_its_folds(draw: Draw) -> None:
    val = draw(0).val
    applied = {}
    for half, rule in enumerate(RULES):
        mask = rule.compute_mask(val.frame)
        typicality = np.where(mask, float(half), -np.inf)
        applied[half] = AppliedRule(rule, mask, half or None, typicality)
    slices, membership = build_slice_tables(
        val, [ProposedSlice(0.01, applied, 1, 12.0)], INTERVENTIONS
    )
    halves = assign_halves(np.arange(5))
    assert slices["fold"].tolist() == [0, 1, 2, 3, 4]
    assert slices["rule"].tolist() == [RULES[half].dump_json() for half in halves]
    assert slices["is_frozen"].tolist() == (halves == 1).tolist()
    assert set(slices.loc[slices["is_frozen"], "remedy"]) == {"blur"}
    assert slices.loc[~slices["is_frozen"], "remedy"].isna().all()
    assert set(slices["family_p"]) == {0.01}
    is_member = np.where(assign_halves(val.folds) == 0, applied[0].mask, applied[1].mask)
    assert set(membership["image_id"]) == set(val.frame["image_id"][is_member])
    folds = val.frame.assign(fold=val.folds).set_index("image_id")["fold"]
    assert (membership["fold"].to_numpy() == folds[membership["image_id"]]).all()
    assert (membership["score"] == assign_halves(membership["fold"].to_numpy())).all()


def test_tables_without_slices_have_their_columns(draw: Draw) -> None:
    slices, membership = build_slice_tables(draw(0).val, [], INTERVENTIONS)
    assert (len(slices), len(membership)) == (0, 0)
    assert slices["rank"].dtype == np.int64
    assert membership["score"].dtype == np.float64


def test_the_overlap_is_the_share_of_images_in_both() -> None:
    first, second = np.array([1, 1, 1, 0], bool), np.array([0, 1, 1, 1], bool)
    assert compute_overlap(first, second) == 0.5
    assert compute_overlap(first, first) == 1.0
    assert compute_overlap(first, ~first) == 0.0
    nothing = np.zeros(4, bool)
    assert compute_overlap(nothing, nothing) == 0.0
