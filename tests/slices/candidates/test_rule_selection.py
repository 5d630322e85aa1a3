from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.domain.rules import Condition, Rule
from pipeline.slices.candidates.proposal_evidence import ProposalEvidence, ProposedRule
from pipeline.slices.candidates.rule_selection import select_distinct_rules

N = 100
EVIDENCE = ProposalEvidence(
    frame=pd.DataFrame(
        {"image_id": range(N), "label": "a", "group": range(N), "luminance": 1.0, "noise": 1.0}
    ),
    is_misclassified=np.ones(N, bool),
    repair_residuals=np.zeros((N, 0)),
    repair_gains=np.zeros((N, 0)),
    prototype_ids=(),
    prototype_distances=np.zeros((0, N), np.float32),
)


def propose(first: int, last: int, score: float, *columns: str, **rule: Any) -> ProposedRule:
    """Return a proposal that admits the rows from `first` to `last` and recovers `score` errors."""
    conditions = tuple(Condition(name, "<=", 1.0) for name in columns or ("luminance",))
    mask = (np.arange(N) >= first) & (np.arange(N) < last)
    return ProposedRule(Rule(conditions, **rule), mask, score, score)


def select(*proposals: ProposedRule) -> list[ProposedRule]:
    return list(select_distinct_rules(list(proposals), EVIDENCE))


def test_the_best_come_first_and_one_that_shares_most_errors_is_left_out() -> None:
    best, copy, other = propose(0, 40, 9), propose(5, 45, 8, "noise"), propose(60, 90, 5)
    assert select(other, copy, best) == [best, other]


@pytest.mark.parametrize(
    ("part", "is_selected"),
    [
        (propose(0, 10, 1.0), False),
        (propose(0, 10, 3.0), True),  # denser: three errors in ten images against 10 in 50
        (propose(0, 10, 3.0, label="a"), False),
        (propose(43, 59, 2.0), True),  # half of it is outside
        (propose(44, 53, 0.5, label="a"), False),  # two thirds of its errors are contained
        (propose(46, 53, 0.5, label="a"), True),
    ],
)
def test_a_part_of_a_better_rule_is_left_out_unless_it_is_denser(
    part: ProposedRule, is_selected: bool
) -> None:
    whole = propose(0, 50, 10)
    assert select(whole, part) == ([whole, part] if is_selected else [whole])


def test_the_plainest_of_equal_rules_is_taken() -> None:
    pair = propose(0, 40, 10, "luminance", "noise")
    statistic = propose(0, 40, 9.8, "noise")
    plain = propose(0, 38, 9.5)
    assert select(pair, statistic, plain) == [plain], "attributes come first in their order"
    assert select(pair, statistic) == [statistic], "fewer conditions"
    assert select(statistic, propose(0, 38, 8.5)) == [statistic], "the plainer one gathers less"
    assert select(statistic, propose(0, 25, 9.5)) == [statistic], "or admits other images"
    of_class = propose(0, 40, 9.7, label="a")
    assert select(statistic, of_class) == [statistic], "or names a class"
