import cv2
import numpy as np

from pipeline.attributes.clutter import measure
from tests.attributes.images import load_windows, wrap


def test_more_things_make_more_clutter() -> None:
    rng = np.random.default_rng(0)
    image = np.full((128, 128, 3), 90, np.uint8)
    values = [measure(wrap(image))]
    for _ in range(4):
        for _ in range(6):
            x, y = rng.integers(0, 110, 2).tolist()
            cv2.rectangle(image, (x, y), (x + 14, y + 14), rng.integers(0, 255, 3).tolist(), 2)
        values.append(measure(wrap(image)))
    assert values == sorted(values)
    assert values[-1] > values[1] > 0


def test_plain_light_on_a_photograph_changes_it_little() -> None:
    for window in load_windows():
        dimmed = (window * 0.8).astype(np.uint8)
        assert abs(measure(wrap(dimmed)) - measure(wrap(window))) < 0.1
