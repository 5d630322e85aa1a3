import cv2
import numpy as np

from pipeline.attributes.object_size import measure
from tests.attributes.images import wrap


def test_a_larger_disk_on_grain_is_larger() -> None:
    rng = np.random.default_rng(0)
    values = []
    for radius in (10, 20, 45):
        image = rng.integers(80, 100, (128, 128, 1)).astype(np.uint8).repeat(3, 2)
        cv2.circle(image, (70, 60), radius, (220, 40, 40), -1)
        values.append(measure(wrap(image)))
    assert values == sorted(values)
    assert values[0] < 0.15


def test_a_flat_image_has_no_object() -> None:
    for shape in ((1, 1), (3, 200), (64, 64)):
        assert np.isnan(measure(wrap(np.zeros((*shape, 3), np.uint8))))
