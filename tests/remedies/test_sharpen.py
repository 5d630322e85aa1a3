import numpy as np

from pipeline.attributes import measure_images
from pipeline.remedies import apply_remedy


def test_edges_are_crisper_and_flat_parts_stay(images: np.ndarray) -> None:
    before = measure_images(images)
    after = measure_images(apply_remedy("sharpen", images, 0.5, 0.5, seed=1))
    assert (after["sharpness"] > before["sharpness"]).all()
    flat = np.full((1, 16, 16, 3), 90, np.uint8)
    np.testing.assert_array_equal(apply_remedy("sharpen", flat, 0.5, 0.5, seed=1), flat)
