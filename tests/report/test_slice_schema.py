import pytest
from pydantic import ValidationError

from pipeline.report.slice_schema import ShareInterval


def test_an_interval_keeps_its_ends_and_refuses_text() -> None:
    assert ShareInterval(value=0.5, low=0.4, high=None).low == 0.4
    with pytest.raises(ValidationError):
        ShareInterval(value="half", low=0.4, high=0.6)
