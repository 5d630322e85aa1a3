import numpy as np

from pipeline.remedies import describe, interventions, treat


def test_a_photo_that_weighs_more_stays_as_it_is() -> None:
    photos = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(treat("reweighting", photos, 3, 3, seed=1), photos)
    assert "reweighting" not in {name for name, _ in interventions()}
    assert describe("reweighting", 3.0) == "weighed 3 times as much"
