"""Bins of a reliability diagram: pipeline/statistics/classification/reliability_diagram.py."""

from __future__ import annotations

import numpy as np

from pipeline.statistics.classification.reliability_diagram import compute_reliability_bins


def test_bins_count_the_images_of_their_range() -> None:
    confidence = np.array([0.34, 0.35, 1.0, 0.99])
    bins = compute_reliability_bins(confidence, np.array([True, False, True, True]))
    assert [(item["n"], item["accuracy"]) for item in bins] == [(2, 0.5), (2, 1.0)]
    assert bins[1]["high"] == 1.0
    assert bins[0]["low"] <= 0.34 < 0.35 < bins[0]["high"]
    assert bins[0]["confidence"] == 0.345


def test_no_image_gives_no_bin() -> None:
    assert compute_reliability_bins(np.zeros(0), np.zeros(0, bool)) == []
