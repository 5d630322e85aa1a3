"""Which treatment accounts for a slice's failing images: on drawn measurements, where the shares are known."""

import numpy as np
import pytest

from pipeline.slices.causes.treatment_attribution import attribute_failures, estimate_class_priors

CENTRES = {"as it is": (0.0, 0.0), "blur": (4.0, 0.0), "noise": (0.0, 4.0)}


def _drawn(name: str, count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(CENTRES[name], 1.0, (count, 2))


COPIES = {name: _drawn(name, 150, k) for k, name in enumerate(CENTRES)}


def _groups(count: int) -> np.ndarray:
    return np.array([f"g{k // 3}" for k in range(count)])


def test_the_shares_of_a_mixture_are_estimated_and_the_larger_one_is_ahead() -> None:
    images = np.vstack([_drawn("blur", 90, 7), _drawn("as it is", 30, 8)])
    images[5, 1] = np.nan
    found = attribute_failures(COPIES, images, _groups(120), 0)
    assert found["blur"].share == pytest.approx(0.75, abs=0.06)
    assert found["noise"].share < 0.03
    assert found["blur"].ahead > 0.2
    assert found["as it is"].ahead < 0
    assert not any(one.pair_share for one in found.values())  # the larger one is surely that
    assert sum(one.share for one in found.values()) == pytest.approx(1.0, abs=1e-3)


def test_two_treatments_of_equal_shares_are_not_told_apart() -> None:
    images = np.vstack([_drawn("blur", 60, 7), _drawn("noise", 60, 8)])
    order = np.random.default_rng(0).permutation(120)
    found = attribute_failures(COPIES, images[order], _groups(120), 0)
    assert max(found["blur"].ahead, found["noise"].ahead) < 0
    assert (
        found["blur"].pair_share == found["noise"].pair_share == pytest.approx(1.0, abs=0.05)
    )  # and no third is as common
    assert found["as it is"].pair_share == 0


def test_two_are_no_pair_where_a_third_is_as_common_or_one_of_them_is_no_treatment() -> None:
    images = np.vstack([_drawn(name, 40, k) for k, name in enumerate(CENTRES)])
    order = np.random.default_rng(0).permutation(len(images))
    found = attribute_failures(COPIES, images[order], _groups(len(images)), 0)
    assert not any(one.pair_share for one in found.values())
    half = np.vstack([_drawn("blur", 60, 7), _drawn("as it is", 60, 8)])[
        np.random.default_rng(0).permutation(120)
    ]
    assert attribute_failures(COPIES, half, _groups(120), 0)["blur"].pair_share > 0.9
    assert not any(
        one.pair_share
        for one in attribute_failures(COPIES, half, _groups(120), 0, "as it is").values()
    )


def test_few_groups_leave_it_open_where_many_images_would_not() -> None:
    """Of four groups three are blurred: as images that is 90 of 120."""
    images = np.vstack([_drawn("blur", 90, 7), _drawn("noise", 30, 8)])
    four = np.repeat(["a", "b", "c", "d"], 30)
    assert (
        attribute_failures(COPIES, images, four, 0)["blur"].ahead
        < attribute_failures(COPIES, images, _groups(120), 0)["blur"].ahead
    )
    assert attribute_failures(COPIES, images, four, 0)["blur"].ahead < 0


def test_shares_undo_what_an_unsure_classifier_mixes() -> None:
    """Images of the first class alone, each 70 to 30: the mean posterior says .7, the shares say nearly all."""
    posterior = np.tile([0.7, 0.3], (50, 1))
    assert estimate_class_priors(posterior, np.ones(50))[0] > 0.99
    assert estimate_class_priors(posterior[:, ::-1], np.ones(50))[1] > 0.99
    assert estimate_class_priors(
        np.vstack([posterior, posterior[:, ::-1]]), np.ones(100)
    ) == pytest.approx([0.5, 0.5], abs=0.01)
    assert (
        estimate_class_priors(
            np.vstack([posterior, posterior[:, ::-1]]), np.repeat([1.0, 0.0], 50)
        )[0]
        > 0.99
    )
