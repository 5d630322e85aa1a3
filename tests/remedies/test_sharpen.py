import numpy as np

from pipeline.attributes import measure
from pipeline.remedies import treat


def test_edges_are_crisper_and_flat_parts_stay(photos: np.ndarray) -> None:
    before, after = measure(photos), measure(treat("sharpen", photos, 0.5, 0.5, seed=1))
    assert (after["sharpness"] > before["sharpness"]).all()
    flat = np.full((1, 16, 16, 3), 90, np.uint8)
    np.testing.assert_array_equal(treat("sharpen", flat, 0.5, 0.5, seed=1), flat)
