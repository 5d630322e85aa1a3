import numpy as np
import pytest

from pipeline.attributes.flat_area import measure
from pipeline.remedies import apply_remedy
from tests.attributes.images import load_windows, wrap


@pytest.mark.parametrize("rows", [16, 40, 64])
def test_a_bar_over_a_photograph_is_its_share(rows: int) -> None:
    for window in load_windows():
        barred = window.copy()
        barred[:rows] = 30
        assert measure(wrap(barred)) >= rows / 128 - 0.03


def test_covers_raise_it_where_there_is_texture() -> None:
    textured = [window for window in load_windows() if measure(wrap(window)) < 0.3]
    assert len(textured) > 2
    for window in textured:
        covered = apply_remedy("occlusion", window[None], 0.6, 0.6, 0)[0]
        assert measure(wrap(covered)) > max(0.2, measure(wrap(window)) - 0.2)


def test_noise_has_no_flat_area() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    assert measure(wrap(noise)) < 0.01
