from datetime import UTC, datetime

import numpy as np

from pipeline.attributes import DecodedImage
from pipeline.attributes.day import measure

NOTHING = np.zeros((0, 0, 3), np.uint8)


def test_counts_days_from_the_epoch() -> None:
    assert measure(DecodedImage(NOTHING, datetime(1970, 1, 2, 12), 1, 1)) == 1.5
    assert measure(DecodedImage(NOTHING, datetime(2024, 1, 1), 1, 1)) == 19723
    assert measure(DecodedImage(NOTHING, datetime(2024, 1, 1, tzinfo=UTC), 1, 1)) == 19723


def test_unknown_without_a_time() -> None:
    assert np.isnan(measure(DecodedImage(NOTHING, None, 1, 1)))
