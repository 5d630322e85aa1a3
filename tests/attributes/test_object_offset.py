import cv2
import numpy as np

from pipeline.attributes.object_offset import measure
from tests.attributes.images import wrap


def test_a_spot_further_from_the_center_has_a_larger_offset() -> None:
    values = []
    for x in (64, 90, 118):
        image = np.full((128, 128, 3), 90, np.uint8)
        cv2.circle(image, (x, 64), 8, (230, 230, 230), -1)
        values.append(measure(wrap(image)))
    assert values == sorted(values)
    assert values[0] < 0.1 < values[-1] <= 1


def test_both_sides_count_alike() -> None:
    image = np.full((128, 128, 3), 90, np.uint8)
    cv2.circle(image, (100, 64), 8, (230, 230, 230), -1)
    assert abs(measure(wrap(image)) - measure(wrap(image[:, ::-1]))) < 0.05
