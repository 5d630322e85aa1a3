"""The limits of a check: pipeline/datasets/conditions.py."""

from __future__ import annotations

import pytest

from pipeline.contracts import InputError
from pipeline.datasets.conditions import conditions


def test_limits_are_laid_over_the_defaults() -> None:
    limits = conditions(["min_class=50", "max_rejected=0.2"])
    assert (limits.min_class, limits.max_rejected) == (50, 0.2)
    assert limits.max_torn == conditions([]).max_torn


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("min_clas=5", "did you mean check.min_class"),
        ("max_rejected=2", r"check\.max_rejected"),
        ("min_class", "write an override"),
    ],
)
def test_a_limit_that_is_none(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        conditions([text])
