"""Evidence of one labeled batch: pipeline/statistics/arrivals/arrival_batch.py."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.statistics.arrivals.active_evaluation import LabeledTraffic
from pipeline.statistics.arrivals.arrival_batch import (
    ArrivalBatch,
    ArrivedAnswers,
    build_arrival_batch,
)


def _make_answers() -> tuple[np.ndarray, ArrivedAnswers]:
    """Return groups a, b and c of two images; the models disagree on one image of a and b."""
    groups = np.array(["a", "a", "b", "b", "c", "c"])
    return groups, ArrivedAnswers(
        np.array(["x", "x", "y", "x", "x", "y"]),
        np.array(["y", "x", "x", "x", "x", "y"]),
        np.array(["x", "", "x", "", "", ""]),
        np.array([True, True, False, False, True, False]),
    )


def test_groups_gain_where_the_challenger_alone_is_right() -> None:
    groups, answers = _make_answers()
    is_labeled = np.array([True, False, True, False, False, False])
    batch = build_arrival_batch(LabeledTraffic(groups, np.ones(6), is_labeled), answers)
    assert batch.groups == ["a", "b", "c"]
    assert batch.inside == [0.5, None, 0.0]
    assert batch.overall == [0.5, -0.5, 0.0]
    assert (batch.inside_scale, batch.overall_scale, batch.labels) == (1.0, 1.0, 2)
    classes = {(item.class_name, item.is_inside): item for item in batch.classes}
    assert classes["x", False].images == 5  # three agreed on, two labeled
    assert classes["x", False].change == 0
    assert classes["x", True].change == 1
    assert classes["y", False].images == 1


def test_rarer_labels_count_more_and_gains_stay_bounded() -> None:
    groups, answers = _make_answers()
    is_labeled = np.array([True, False, True, False, False, False])
    probability = np.array([0.5, 0.0, 0.25, 0.0, 0.0, 0.0])
    batch = build_arrival_batch(LabeledTraffic(groups, probability, is_labeled), answers)
    assert batch.inside == [0.5, None, 0.0]
    assert batch.inside_scale == 0.5
    assert batch.overall == pytest.approx([0.25, -0.5, 0.0])
    assert batch.overall_scale == 0.25


def test_a_batch_survives_json() -> None:
    groups, answers = _make_answers()
    traffic = LabeledTraffic(groups, np.ones(6), np.array([True] + [False] * 5))
    batch = build_arrival_batch(traffic, answers)
    assert ArrivalBatch.parse_record(json.loads(json.dumps(batch.build_record()))) == batch
    with pytest.raises(KeyError):
        ArrivalBatch.parse_record({})
