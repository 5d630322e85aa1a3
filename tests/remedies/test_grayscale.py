import numpy as np

from pipeline.attributes import measure_images
from pipeline.remedies import apply_remedy


def test_channels_are_equal_and_the_luma_stays(images: np.ndarray) -> None:
    gray = apply_remedy("grayscale", images, 1, 1, seed=1)
    assert (gray[..., 0] == gray[..., 1]).all()
    assert (gray[..., 1] == gray[..., 2]).all()
    np.testing.assert_allclose(
        measure_images(gray)["luminance"], measure_images(images)["luminance"], atol=0.01
    )
