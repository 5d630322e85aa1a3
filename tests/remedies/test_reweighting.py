import numpy as np

from pipeline.remedies import apply_remedy, describe_intervention, list_interventions


def test_a_image_that_weighs_more_stays_as_it_is() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(apply_remedy("reweighting", images, 3, 3, seed=1), images)
    assert "reweighting" not in {name for name, _ in list_interventions()}
    assert describe_intervention("reweighting", 3.0) == "weighed 3 times as much"
