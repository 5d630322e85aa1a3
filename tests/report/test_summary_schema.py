import pytest
from pydantic import ValidationError

from pipeline.report.summary_schema import GainInterval


def test_a_gain_needs_its_bound_and_its_seeds() -> None:
    gain = GainInterval(value=0.1, low=0.0, high=0.2, bound=0.02, within_noise=False, seeds=5)
    assert gain.seeds == 5
    with pytest.raises(ValidationError):
        GainInterval(value=0.1, low=0.0, high=0.2)
