import numpy as np
import pytest

from pipeline.sections.places import MOST, SCALE, lay_out


def test_two_clusters_lie_apart_and_nan_has_no_place() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (200, 12)).astype(np.float32)
    features[100:] += 10
    features[5] = np.nan
    spots = lay_out(features, np.zeros(200, bool), 0)
    assert set(spots) == set(range(200)) - {5}
    assert all(0 <= v <= SCALE for spot in spots.values() for v in spot)
    x = np.array([spots[k][0] for k in range(6, 200)])
    assert min(abs(x[:94].max() - x[94:].min()), abs(x[94:].max() - x[:94].min())) > SCALE / 3


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_have_no_map(n: int) -> None:
    assert lay_out(np.ones((n, 4), np.float32), np.zeros(n, bool), 0) == {}


def test_photos_that_are_all_alike_have_no_map() -> None:
    assert lay_out(np.ones((9, 4), np.float32), np.zeros(9, bool), 0) == {}


def test_of_many_photos_every_misread_one_stays() -> None:
    features = np.random.default_rng(1).normal(0, 1, (3 * MOST, 4)).astype(np.float32)
    wrong = np.arange(3 * MOST) % 97 == 0
    spots = lay_out(features, wrong, 0)
    assert len(spots) <= MOST
    assert set(np.flatnonzero(wrong)) <= set(spots)
