import numpy as np

from pipeline.remedies import apply_remedy, describe_intervention, list_interventions


def test_the_image_stays_as_it_is_and_it_is_no_intervention(images: np.ndarray) -> None:
    np.testing.assert_array_equal(apply_remedy("oversampling", images, 3, 3, seed=1), images)
    assert "oversampling" not in {name for name, _ in list_interventions()}
    assert describe_intervention("oversampling", 3.0) == "shown 3 times as often"
