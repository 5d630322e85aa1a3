import numpy as np

from pipeline.slices.candidates.error_mixture import MAX_COMPONENTS, fit_error_mixture


def _arrays(n: int = 1200) -> tuple[np.ndarray, ...]:
    """Two classes; a third of class 0 looks alike and is read as class 1, and as many of both fail for no reason."""
    rng = np.random.default_rng(0)
    truth, space = rng.integers(0, 2, n), rng.normal(0, 1, (n, 6))
    cause = (truth == 0) & (rng.random(n) < 0.3)
    space[cause, :2] += 3
    errors = (cause & (rng.random(n) < 0.8)) | (rng.random(n) < 0.05)
    guess = np.where(errors, 1 - truth, truth)
    return space, truth, 0.05 + 0.9 * np.eye(2)[guess], errors, cause


def test_a_component_gathers_the_images_that_fail_and_look_alike() -> None:
    space, truth, shares, errors, cause = _arrays()
    parts = fit_error_mixture(space, truth, shares, errors, 0)
    assert parts.min() >= 0
    assert parts.max() <= 1 + 1e-9
    gathered = (errors & cause)[:, None] * parts
    precision = (errors[:, None] * parts).sum(0) / parts.sum(0)
    assert (gathered.sum(0) / (errors & cause).sum())[precision >= 0.9].sum() >= 0.8


def test_a_class_that_fails_often_has_a_mixture_of_its_own_and_the_others_stay_out_of_it() -> None:
    space, truth, shares, errors, _ = _arrays()
    parts = fit_error_mixture(space, truth, shares, errors, 0)
    own = parts[:, MAX_COMPONENTS:]
    assert own.shape[1] >= 2
    assert np.allclose(own[truth == 0].sum(1), 1)
    assert (own[truth == 1] == 0).all()


def test_without_failures_there_is_nothing_to_gather() -> None:
    space, truth, _, errors, _ = _arrays(200)
    assert fit_error_mixture(space, truth, np.eye(2)[truth], np.zeros_like(errors), 0).shape == (
        200,
        0,
    )
