"""The limits of a check: pipeline/data/quality/health_limits.py."""

from __future__ import annotations

import pytest

from pipeline.contracts import InputError
from pipeline.data.quality.health_limits import parse_health_limits


def test_limits_are_laid_over_the_defaults() -> None:
    limits = parse_health_limits(["min_class=50", "max_rejected=0.2"])
    assert (limits.min_class_images, limits.max_rejected) == (50, 0.2)
    assert limits.max_split_groups == parse_health_limits([]).max_split_groups


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
        parse_health_limits([text])
