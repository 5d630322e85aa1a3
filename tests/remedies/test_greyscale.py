import numpy as np

from pipeline.attributes import measure
from pipeline.remedies import treat


def test_channels_are_equal_and_the_luma_stays(photos: np.ndarray) -> None:
    grey = treat("greyscale", photos, 1, 1, seed=1)
    assert (grey[..., 0] == grey[..., 1]).all()
    assert (grey[..., 1] == grey[..., 2]).all()
    np.testing.assert_allclose(measure(grey)["luminance"], measure(photos)["luminance"], atol=0.01)
