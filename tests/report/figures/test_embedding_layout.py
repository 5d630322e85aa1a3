from importlib.util import find_spec

import numpy as np
import pytest

from pipeline.report.figures import embedding_layout
from pipeline.report.figures.embedding_layout import (
    MAP_SIZE,
    MAX_MAP_POINTS,
    MAX_TSNE_POINTS,
    compute_pca_positions,
    compute_tsne_positions,
)
from tests.conftest import Require


def test_two_clusters_are_separated_and_nan_has_no_position() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (200, 12)).astype(np.float32)
    features[100:] += 10
    features[5] = np.nan
    positions = compute_pca_positions(features, np.zeros(200, bool), 0)
    assert set(positions) == set(range(200)) - {5}
    assert all(0 <= v <= MAP_SIZE for spot in positions.values() for v in spot)
    x = np.array([positions[k][0] for k in range(6, 200)])
    assert min(abs(x[:94].max() - x[94:].min()), abs(x[94:].max() - x[:94].min())) > MAP_SIZE / 3


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_images_have_no_map(n: int) -> None:
    assert compute_pca_positions(np.ones((n, 4), np.float32), np.zeros(n, bool), 0) == {}


def test_equal_images_have_no_map() -> None:
    assert compute_pca_positions(np.ones((9, 4), np.float32), np.zeros(9, bool), 0) == {}


def test_of_many_images_every_misclassified_one_stays() -> None:
    features = np.random.default_rng(1).normal(0, 1, (3 * MAX_MAP_POINTS, 4)).astype(np.float32)
    wrong = np.arange(3 * MAX_MAP_POINTS) % 97 == 0
    positions = compute_pca_positions(features, wrong, 0)
    assert len(positions) <= MAX_MAP_POINTS
    assert set(np.flatnonzero(wrong)) <= set(positions)


@pytest.fixture
def installed(require: Require) -> None:
    require(find_spec("openTSNE"), "openTSNE is absent: pip install -e .[dev]")


def make_clusters(n: int, kinds: int) -> np.ndarray:
    """Return features of clusters, by turns, that two principal components cannot separate."""
    rng = np.random.default_rng(2)
    centers = 12 * np.eye(kinds, 40)
    return (centers[np.arange(n) % kinds] + rng.normal(0, 1, (n, 40))).astype(np.float32)


def test_tsne_separates_clusters_that_principal_components_cannot(installed: None) -> None:
    features, kinds = make_clusters(240, 8), 8
    wrong = np.zeros(240, bool)

    def measure_mixing(positions: dict[int, tuple[int, int]]) -> float:
        """Return the share of images whose nearest neighbor is of another cluster."""
        places = np.array([positions[k] for k in range(240)], float)
        distances = ((places[:, None] - places[None]) ** 2).sum(2) + 1e9 * np.eye(240)
        return float((distances.argmin(1) % kinds != np.arange(240) % kinds).mean())

    axes = compute_pca_positions(features, wrong, 0)
    close = compute_tsne_positions(features, wrong, list(axes), 0)
    assert set(close) == set(axes)
    assert all(0 <= v <= MAP_SIZE for spot in close.values() for v in spot)
    assert measure_mixing(close) < 0.02 < 0.1 < measure_mixing(axes)
    assert compute_tsne_positions(features, wrong, list(axes), 0) == close


def test_tsne_places_misclassified_images_first(
    installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding_layout, "MAX_TSNE_POINTS", 60)
    wrong = np.arange(200) % 7 == 0
    close = compute_tsne_positions(make_clusters(200, 4), wrong, list(range(20, 200)), 0)
    assert len(close) <= 60 < MAX_TSNE_POINTS
    assert set(np.flatnonzero(wrong[20:]) + 20) <= set(close) <= set(range(20, 200))


def test_a_few_images_have_no_tsne(installed: None) -> None:
    assert compute_tsne_positions(make_clusters(8, 2), np.zeros(8, bool), list(range(8)), 0) == {}


def test_without_opentsne_there_is_no_tsne(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_layout, "find_spec", lambda name: None)
    assert (
        compute_tsne_positions(make_clusters(60, 2), np.zeros(60, bool), list(range(60)), 0) == {}
    )
