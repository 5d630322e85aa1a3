"""Approximate near neighbors: pipeline/statistics/near_neighbors.py."""

from __future__ import annotations

import numpy as np

from pipeline.statistics.near_neighbors import NeighborSearch, find_near_neighbors, whiten_vectors


def _draw_bursts(bursts: int, frames: int, noise: float = 0.3) -> np.ndarray:
    rng = np.random.default_rng(0)
    centers = np.repeat(rng.normal(0, 1, (bursts, 32)), frames, axis=0)
    return centers + rng.normal(0, noise, centers.shape)


def test_neighbors_in_many_leaves_are_found_and_nothing_else() -> None:
    vectors = whiten_vectors(_draw_bursts(1000, 3), 32)
    pairs, similarities = find_near_neighbors(vectors, 0.8, NeighborSearch(leaf_size=128))
    is_burst = pairs[:, 0] // 3 == pairs[:, 1] // 3
    assert is_burst.sum() > 0.9 * 3000
    assert is_burst.mean() > 0.99
    assert (pairs[:, 0] < pairs[:, 1]).all()
    expected = (vectors[pairs[:, 0]] * vectors[pairs[:, 1]]).sum(1)
    np.testing.assert_allclose(similarities, expected, atol=1e-5)
    assert similarities.min() >= 0.8


def test_the_same_seed_gives_the_same_pairs() -> None:
    vectors = whiten_vectors(_draw_bursts(300, 3), 16)
    search = NeighborSearch(trees=3, leaf_size=64)
    first, second = (find_near_neighbors(vectors, 0.7, search, seed=1)[0] for _ in range(2))
    assert (first == second).all()


def test_few_vectors_are_compared_in_one_leaf() -> None:
    assert find_near_neighbors(np.ones((1, 4), np.float32), 0.5)[0].shape == (0, 2)
    pairs, _ = find_near_neighbors(np.full((2, 4), 0.5, np.float32), 0.5)
    assert pairs.tolist() == [[0, 1]]


def test_a_background_that_all_images_share_does_not_make_them_alike() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(0, 1, (400, 32)) + 50 + 20 * rng.normal(0, 1, (400, 1))
    whitened = whiten_vectors(vectors, 16)
    similarities = whitened @ whitened.T
    assert abs(np.median(similarities)) < 0.1
    np.testing.assert_allclose(np.linalg.norm(whitened, axis=1), 1, rtol=1e-4)
