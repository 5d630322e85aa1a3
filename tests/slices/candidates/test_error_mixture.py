import numpy as np

from pipeline.slices.candidates.error_mixture import fit_error_mixture
from pipeline.slices.finder_constants import CONSTANTS


def _draw_arrays(n: int = 1200) -> tuple[np.ndarray, ...]:
    """Return features, labels, probabilities, errors and the cause of most of them.

    A third of class 0 has other features and is predicted as class 1; a few images of both classes
    fail at random.
    """
    rng = np.random.default_rng(0)
    labels, features = rng.integers(0, 2, n), rng.normal(0, 1, (n, 6))
    has_cause = (labels == 0) & (rng.random(n) < 0.3)
    features[has_cause, :2] += 3
    errors = (has_cause & (rng.random(n) < 0.8)) | (rng.random(n) < 0.05)
    predictions = np.where(errors, 1 - labels, labels)
    return features, labels, 0.05 + 0.9 * np.eye(2)[predictions], errors, has_cause


def test_components_gather_images_that_look_similar_and_fail() -> None:
    features, labels, probabilities, errors, has_cause = _draw_arrays()
    responsibilities = fit_error_mixture(features, labels, probabilities, errors, 0)
    assert responsibilities.min() >= 0
    assert responsibilities.max() <= 1 + 1e-9
    explained = (errors & has_cause)[:, None] * responsibilities
    recall = explained.sum(0) / (errors & has_cause).sum()
    precision = (errors[:, None] * responsibilities).sum(0) / responsibilities.sum(0)
    assert recall[precision >= 0.9].sum() >= 0.8


def test_a_class_that_often_fails_has_a_mixture_without_the_other_classes() -> None:
    features, labels, probabilities, errors, _ = _draw_arrays()
    responsibilities = fit_error_mixture(features, labels, probabilities, errors, 0)
    of_class = responsibilities[:, CONSTANTS.candidates.mixture_max_components :]
    assert of_class.shape[1] >= 2
    assert np.allclose(of_class[labels == 0].sum(1), 1)
    assert (of_class[labels == 1] == 0).all()


def test_without_failures_there_is_no_component() -> None:
    features, labels, _, errors, _ = _draw_arrays(200)
    no_errors = np.zeros_like(errors)
    responsibilities = fit_error_mixture(features, labels, np.eye(2)[labels], no_errors, 0)
    assert responsibilities.shape == (200, 0)


def test_the_seed_decides_the_components() -> None:
    features, labels, probabilities, errors, _ = _draw_arrays()
    first, second = (fit_error_mixture(features, labels, probabilities, errors, 0) for _ in "ab")
    assert (first == second).all()
