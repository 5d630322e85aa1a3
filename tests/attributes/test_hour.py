from datetime import datetime

import numpy as np
import pytest

from pipeline.attributes import DecodedImage
from pipeline.attributes.hour import PERIOD, measure

NOTHING = np.zeros((0, 0, 3), np.uint8)


def test_reads_the_clock_and_wraps_at_its_period() -> None:
    assert measure(DecodedImage(NOTHING, datetime(2024, 5, 1, 22, 40, 30), 1, 1)) == pytest.approx(
        22 + 40 / 60 + 30 / 3600
    )
    assert measure(DecodedImage(NOTHING, datetime(2024, 5, 2), 1, 1)) == 0
    assert PERIOD == 24


def test_unknown_without_a_time() -> None:
    assert np.isnan(measure(DecodedImage(NOTHING, None, 1, 1)))
