import warnings

import numpy as np
import pytest

from pipeline.learning.inference.label_errors import (
    can_find_label_errors,
    compute_label_consensus,
    find_label_errors,
    measure_label_agreement,
    predict_out_of_fold,
    sample_balanced_images,
)


def _tracks(
    groups: int = 120, frames: int = 4, classes: int = 4, blur: float = 1.0
) -> tuple[np.ndarray, ...]:
    """Features, true labels and groups of frames that are alike within a group."""
    rng = np.random.default_rng(0)
    label = np.arange(groups) % classes
    center = np.eye(classes, 12)[label] * 4 + rng.normal(0, blur, (groups, 12))
    features = np.repeat(center, frames, axis=0) + rng.normal(0, 0.1, (groups * frames, 12))
    return (
        features.astype(np.float32),
        np.repeat(label, frames),
        np.repeat(np.arange(groups), frames),
    )


def _planted(labels: np.ndarray, count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    wrong, filed = rng.choice(len(labels), count, replace=False), labels.copy()
    filed[wrong] = (filed[wrong] + rng.integers(1, classes, count)) % classes
    return filed, wrong


@pytest.mark.parametrize("blur", [0.7, 2.5])
def test_planted_label_errors_are_detected_even_by_weak_heads(blur: float) -> None:
    features, labels, groups = _tracks(blur=blur)
    filed, wrong = _planted(labels, 8, 4)
    odds = predict_out_of_fold(features, filed, groups, max_images=1000, seed=0)
    label_errors = find_label_errors(odds, filed, groups, 0.8)
    hits = np.intersect1d(label_errors["position"], wrong)
    assert len(hits) >= 6
    assert len(hits) / len(label_errors) >= 0.9
    assert (
        label_errors.set_index("position").loc[hits, "suggested"].to_numpy() == labels[hits]
    ).all()
    assert label_errors["confidence"].is_monotonic_decreasing
    assert label_errors["confidence"].between(0.8, 1).all()


def test_images_without_companions_are_judged_by_the_head_alone() -> None:
    features, labels, groups = _tracks(groups=400, frames=1, blur=0.3)
    filed, wrong = _planted(labels, 6, 4)
    label_errors = find_label_errors(
        predict_out_of_fold(features, filed, groups, max_images=1000, seed=0), filed, groups, 0.6
    )
    assert len(np.intersect1d(label_errors["position"], wrong)) >= 4
    assert set(label_errors["position"]) <= set(wrong)


def test_clean_labels_raise_no_alarm() -> None:
    features, labels, groups = _tracks(blur=2.0)
    assert (
        len(
            find_label_errors(
                predict_out_of_fold(features, labels, groups, max_images=1000, seed=0),
                labels,
                groups,
                0.8,
            )
        )
        <= 2
    )


def test_a_head_never_saw_the_own_group() -> None:
    """Features that tell the group and nothing else: out of fold they are worth nothing."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 5)
    labels, features = np.repeat(rng.permutation(60) % 2, 5), np.eye(60, dtype=np.float32)[groups]
    odds = predict_out_of_fold(features, labels, groups, max_images=1000, seed=0)
    assert (odds.argmax(1) == labels).mean() < 0.65
    np.testing.assert_allclose(odds.sum(1), 1)


def test_heads_learn_evenly_and_judge_everything() -> None:
    labels = np.array([0] * 100 + [1] * 10 + [0] * 5)
    groups = np.array([0] * 100 + [1] * 10 + [2] * 5)
    picked = sample_balanced_images(labels, groups, 15, seed=0)
    assert np.bincount(groups[picked]).tolist() == [5, 5, 5]
    assert len(sample_balanced_images(labels, groups, 1000, seed=0)) == 115
    assert not np.array_equal(picked, sample_balanced_images(labels, groups, 15, seed=1))
    features, labels, tracks = _tracks()
    assert (
        predict_out_of_fold(features, labels, tracks, max_images=120, seed=0).argmax(1) == labels
    ).mean() > 0.9


def test_heads_learn_from_at_most_max_images_for_any_number_of_groups() -> None:
    labels = np.array([0] * 950 + [1] * 30 + [2] * 20)
    picked = sample_balanced_images(labels, np.arange(1000), 100, seed=0)
    assert len(np.unique(picked)) == 100
    counts = np.bincount(labels[picked]).tolist()
    assert counts[0] > 70  # in their shares
    assert min(counts) >= 10  # but some of each


def test_the_odd_label_of_a_group_is_outvoted_by_its_companions_only() -> None:
    groups = np.repeat(np.arange(30), 4)
    labels = np.repeat(np.arange(30) % 2, 4)
    labels[0] = 1
    others, every = compute_label_consensus(np.full((120, 2), 0.5), labels, groups)
    assert others[0, 0] > 0.99
    assert every[0, 0] > 0.9
    assert every[1, 0] > 0.9, "its companions keep their label"
    assert others[1, 0] > others[1, 1]


def test_groups_of_many_classes_say_nothing_of_each_other() -> None:
    """A camera is no track: what its other images show is no evidence."""
    labels, groups = np.arange(80) % 2, np.repeat(np.arange(4), 20)
    odds = np.full((80, 2), 0.5)
    np.testing.assert_allclose(compute_label_consensus(odds, labels, groups)[0], 0.5)
    assert measure_label_agreement(labels, groups) == pytest.approx(9 / 19)
    assert measure_label_agreement(labels, np.arange(80)) is None


def test_too_little_to_judge_by() -> None:
    assert not can_find_label_errors(np.array([0, 1] * 30), np.arange(60) % 19)
    assert not can_find_label_errors(np.zeros(60, np.int64), np.arange(60))
    assert can_find_label_errors(np.array([0, 1] * 30), np.arange(60))


def test_classes_of_one_image_end_well_without_a_warning() -> None:
    features, labels, groups = _tracks()
    labels[0] = 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        odds = predict_out_of_fold(features, labels, groups, max_images=1000, seed=0)
        find_label_errors(odds, labels, groups, 0.8)
    assert odds.shape == (480, 5)
