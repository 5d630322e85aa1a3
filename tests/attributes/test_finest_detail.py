import cv2
import numpy as np

from pipeline.attributes import DecodedImage
from pipeline.attributes.finest_detail import measure
from tests.attributes.images import load_windows, wrap


def test_an_enlarged_photograph_is_below_every_original() -> None:
    originals, enlarged = [], []
    for window in load_windows():
        originals.append(measure(wrap(window)))
        small = cv2.resize(window, (48, 48), interpolation=cv2.INTER_AREA)
        enlarged.append(measure(wrap(cv2.resize(small, (128, 128), interpolation=cv2.INTER_CUBIC))))
    assert np.median(enlarged) < np.median(originals) - 0.5
    assert np.mean(np.array(enlarged) < np.array(originals)) > 0.9


def test_a_reduced_or_tiny_image_is_unknown() -> None:
    assert np.isnan(measure(DecodedImage(load_windows()[0], None, 512, 512)))
    assert np.isnan(measure(wrap(np.zeros((15, 40, 3), np.uint8))))
