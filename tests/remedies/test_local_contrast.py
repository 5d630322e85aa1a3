import numpy as np

from pipeline.attributes import measure_images
from pipeline.remedies import apply_remedy


def test_opens_up_a_dark_image(images: np.ndarray) -> None:
    dark = apply_remedy("exposure", images, 0.25, 0.25, seed=1)
    before = measure_images(dark)
    after = measure_images(apply_remedy("local_contrast", dark, 4, 4, seed=1))
    assert (after["contrast_level"] > 1.3 * before["contrast_level"]).all()
    assert (after["luminance"] > before["luminance"]).all()
