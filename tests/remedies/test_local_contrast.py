import numpy as np

from pipeline.attributes import measure
from pipeline.remedies import treat


def test_opens_up_a_dark_photo(photos: np.ndarray) -> None:
    dark = treat("exposure", photos, 0.25, 0.25, seed=1)
    before, after = measure(dark), measure(treat("local_contrast", dark, 4, 4, seed=1))
    assert (after["contrast"] > 1.3 * before["contrast"]).all()
    assert (after["luminance"] > before["luminance"]).all()
