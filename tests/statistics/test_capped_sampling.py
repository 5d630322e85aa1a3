"""Samples with an equal cap per group: pipeline/statistics/capped_sampling.py."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.statistics.capped_sampling import draw_capped_sample, find_group_cap


def test_weights_make_up_for_the_cap() -> None:
    groups = pd.Series(["a"] * 30 + ["b"] * 3 + ["c"])
    weights = draw_capped_sample(groups, 10, np.random.default_rng(0))
    table = pd.DataFrame({"group": groups[weights.index], "weight": weights})
    assert table.groupby("group").size().to_dict() == {"a": 6, "b": 3, "c": 1}
    assert table.groupby("group")["weight"].first().to_dict() == {"a": 5.0, "b": 1.0, "c": 1.0}
    assert weights.index.is_monotonic_increasing


def test_with_too_many_groups_some_are_drawn() -> None:
    groups = pd.Series([f"g{row}" for row in range(40)])
    weights = draw_capped_sample(groups, 10, np.random.default_rng(0))
    assert len(weights) == 10
    assert weights.sum() == pytest.approx(40)
    other = draw_capped_sample(groups, 10, np.random.default_rng(1))
    assert list(weights.index) != list(other.index)


def test_no_row_gives_no_weight() -> None:
    empty = pd.Series([], dtype="str")
    assert len(draw_capped_sample(empty, 10, np.random.default_rng(0))) == 0


@pytest.mark.parametrize("sizes", [[1], [30, 3, 1], [5, 5, 5], [100, 1, 1, 7], [2] * 9])
@pytest.mark.parametrize("max_rows", [1, 9, 10, 40, 1000])
def test_the_cap_is_the_largest_that_fits(sizes: list[int], max_rows: int) -> None:
    array = np.array(sizes)
    expected = 1
    for cap in range(1, max(sizes) + 1):
        if np.minimum(array, cap).sum() <= max_rows:
            expected = cap
    assert find_group_cap(array, max_rows) == expected
