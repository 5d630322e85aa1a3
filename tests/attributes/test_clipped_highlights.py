import numpy as np
import pytest

from pipeline.attributes.clipped_highlights import measure
from pipeline.remedies import apply_remedy
from tests.attributes.images import load_windows, wrap


def test_a_covered_part_of_light_is_its_share() -> None:
    image = np.full((40, 50, 3), 120, np.uint8)
    image[:10] = 253
    assert measure(wrap(image)) == pytest.approx(0.25)
    assert measure(wrap(image // 2)) == 0


def test_overexposure_of_photographs_raises_it() -> None:
    for window in load_windows():
        bright = apply_remedy("exposure", window[None], 3.0, 3.0, 0)[0]
        assert measure(wrap(bright)) >= measure(wrap(window))
    assert np.mean([measure(wrap(window)) for window in load_windows()]) < 0.1
