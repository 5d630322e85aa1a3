import numpy as np

from pipeline.attributes import DecodedImage
from pipeline.attributes.moire import measure
from tests.attributes.images import load_windows, wrap


def test_a_grid_over_photographs_is_above_most_photographs() -> None:
    y, x = np.mgrid[0:128, 0:128]
    grid = 18 * np.sin(1.9 * x + 0.4 * y) * np.sin(1.7 * y)
    plain = [measure(wrap(window)) for window in load_windows()]
    overlaid = [
        measure(wrap(np.clip(window + grid[..., None], 0, 255).astype(np.uint8)))
        for window in load_windows()
    ]
    assert np.mean(np.array(overlaid) > np.array(plain)) > 0.8
    assert np.median(overlaid) > np.quantile(plain, 0.9)


def test_a_reduced_image_is_unknown_and_a_flat_one_has_no_pattern() -> None:
    assert np.isnan(measure(DecodedImage(load_windows()[0], None, 512, 512)))
    assert measure(wrap(np.full((64, 64, 3), 90, np.uint8))) < 0
