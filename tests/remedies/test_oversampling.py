import numpy as np

from pipeline.remedies import describe, interventions, treat


def test_the_photo_stays_as_it_is_and_it_is_no_intervention(photos: np.ndarray) -> None:
    np.testing.assert_array_equal(treat("oversampling", photos, 3, 3, seed=1), photos)
    assert "oversampling" not in {name for name, _ in interventions()}
    assert describe("oversampling", 3.0) == "shown 3 times as often"
