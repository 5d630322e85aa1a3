"""Attribution on drawn features with known shares of each treatment."""

import numpy as np
import pytest

from pipeline.slices.causes.treatment_attribution import attribute_failures, estimate_class_priors

CENTERS = {"untreated": (0.0, 0.0), "blur": (4.0, 0.0), "noise": (0.0, 4.0)}


def _draw_features(treatment: str, count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(CENTERS[treatment], 1.0, (count, 2))


TREATED = {name: _draw_features(name, 150, k) for k, name in enumerate(CENTERS)}


def _draw_failures(counts: dict[str, int]) -> np.ndarray:
    """Return failing images of several treatments in random order."""
    features = [
        _draw_features(name, count, 7 + k) for k, (name, count) in enumerate(counts.items())
    ]
    return np.random.default_rng(0).permutation(np.vstack(features))


def _assign_groups(count: int) -> np.ndarray:
    return (np.arange(count) // 3).astype(str)


def test_the_shares_of_a_mixture_are_estimated_and_the_larger_one_leads() -> None:
    images = np.vstack([_draw_features("blur", 90, 7), _draw_features("untreated", 30, 8)])
    images[5, 1] = np.nan
    shares = attribute_failures(TREATED, images, _assign_groups(120), 0)
    assert shares["blur"].attributed_share == pytest.approx(0.75, abs=0.06)
    assert shares["noise"].attributed_share < 0.03
    assert shares["blur"].attribution_lead > 0.2
    assert shares["untreated"].attribution_lead < 0
    assert {share.pair_share for share in shares.values()} == {0.0}, "one treatment clearly leads"
    total = sum(share.attributed_share for share in shares.values())
    assert total == pytest.approx(1.0, abs=1e-3)


def test_two_treatments_of_equal_shares_form_a_pair() -> None:
    images = _draw_failures({"blur": 60, "noise": 60})
    shares = attribute_failures(TREATED, images, _assign_groups(120), 0)
    assert max(shares["blur"].attribution_lead, shares["noise"].attribution_lead) < 0
    assert shares["blur"].pair_share == shares["noise"].pair_share
    assert shares["blur"].pair_share == pytest.approx(1.0, abs=0.05)
    assert shares["untreated"].pair_share == 0


def test_three_equal_shares_form_no_pair() -> None:
    images = _draw_failures({"untreated": 40, "blur": 40, "noise": 40})
    shares = attribute_failures(TREATED, images, _assign_groups(len(images)), 0)
    assert {share.pair_share for share in shares.values()} == {0.0}


def test_untreated_images_are_never_part_of_a_pair() -> None:
    images = _draw_failures({"blur": 60, "untreated": 60})
    shares = attribute_failures(TREATED, images, _assign_groups(120), 0)
    assert shares["blur"].pair_share > 0.9
    shares = attribute_failures(TREATED, images, _assign_groups(120), 0, "untreated")
    assert {share.pair_share for share in shares.values()} == {0.0}


def test_few_groups_leave_the_lead_open_although_many_images_agree() -> None:
    """Three of four groups are blurred, 90 of 120 images."""
    images = np.vstack([_draw_features("blur", 90, 7), _draw_features("noise", 30, 8)])
    four_groups = np.repeat(["a", "b", "c", "d"], 30)
    lead = attribute_failures(TREATED, images, four_groups, 0)["blur"].attribution_lead
    many = attribute_failures(TREATED, images, _assign_groups(120), 0)["blur"].attribution_lead
    assert lead < 0
    assert lead < many


def test_priors_correct_an_uncertain_classifier() -> None:
    """Images of one class, each 70 to 30: the mean posterior is .7, the prior nearly 1."""
    posteriors = np.tile([0.7, 0.3], (50, 1))
    assert estimate_class_priors(posteriors, np.ones(50))[0] > 0.99
    assert estimate_class_priors(posteriors[:, ::-1], np.ones(50))[1] > 0.99


def test_priors_follow_the_weights() -> None:
    posteriors = np.repeat([[0.7, 0.3], [0.3, 0.7]], 50, axis=0)
    equal = estimate_class_priors(posteriors, np.ones(100))
    assert equal == pytest.approx([0.5, 0.5], abs=0.01)
    assert estimate_class_priors(posteriors, np.repeat([1.0, 0.0], 50))[0] > 0.99
