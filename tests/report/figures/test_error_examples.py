"""Where the errors are: pipeline/report/figures/error_examples.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.report.figures.error_examples import (
    list_error_pairs,
    list_least_certain,
    list_unlike_training,
)
from tests.report.conftest import build_page


def test_pairs_hold_every_error_of_few_classes(quiet: dict[str, Any]) -> None:
    page = build_page(quiet)
    pairs = list_error_pairs(page)
    counts = [len(image_ids) for _, _, image_ids in pairs]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == page.is_misclassified.sum()
    assert all(label != prediction for label, prediction, _ in pairs)


def test_the_least_certain_come_first(quiet: dict[str, Any]) -> None:
    shares = [share for _, share in list_least_certain(build_page(quiet))]
    assert shares == sorted(shares)
    assert shares[0] == np.asarray(quiet["answers"])[:, 0].max(axis=1).min()


def test_an_image_far_from_training_is_found(quiet: dict[str, Any]) -> None:
    page = build_page(quiet)
    odd = page.flips.index[page.is_misclassified][3]
    features = np.array(quiet["embeddings"])
    features[:] = np.abs(features)
    features[page.images.index.get_loc(odd)] *= -1
    found = list_unlike_training(build_page(quiet | {"embeddings": features}))
    assert found[0][0] == odd
    assert found[0][1] > 1 > found[1][1]


def test_without_features_nothing_is_called_unlike(quiet: dict[str, Any]) -> None:
    without = {name: value for name, value in quiet.items() if name != "embeddings"}
    assert list_unlike_training(build_page(without)) == []
