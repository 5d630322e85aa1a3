"""Good images of a drawn val, and what of a treatment's damage its undoing mends."""

import numpy as np
import pytest

from pipeline import remedies
from pipeline.slices.causes.good_images import GoodImages, sample_by_group, select_good_images
from pipeline.slices.causes.repair_test import InterventionTools
from tests.slices.conftest import draw_val


def _lit(pixels: np.ndarray) -> np.ndarray:
    lit: np.ndarray = pixels.mean((1, 2, 3)) > 60
    return lit.astype(np.intp)


@pytest.fixture(scope="module")
def pool() -> GoodImages:
    drawn = draw_val()
    pixels = (
        np.random.default_rng(0).integers(90, 140, (len(drawn.val.frame), 6, 6, 3)).astype(np.uint8)
    )
    tools = InterventionTools(
        pixels, remedies.apply_remedy, lambda some: some.mean((1, 2)).astype(float), _lit
    )
    return select_good_images(drawn.val, ~drawn.dark, drawn.dark, tools, 100, 0)


def test_good_images_are_correct_and_outside_in_the_shares_of_the_slice(pool: GoodImages) -> None:
    drawn = draw_val()
    assert 99 <= len(pool.rows) <= 101
    assert not drawn.val.is_misclassified[pool.rows].any()
    assert not drawn.dark[pool.rows].any()
    shares = [
        np.bincount(truth, minlength=3) / len(truth)
        for truth in (drawn.val.labels[drawn.dark], pool.labels)
    ]
    assert shares[1] == pytest.approx(shares[0], abs=0.02)


def test_a_sample_takes_turns_among_groups() -> None:
    groups = np.array(["a"] * 50 + ["b"] * 2 + ["c"])
    rows = sample_by_group(groups, np.arange(53), 6, np.random.default_rng(0))
    assert sorted(groups[rows].tolist()) == ["a", "a", "a", "b", "b", "c"]
    assert sample_by_group(groups, np.arange(0), 6, np.random.default_rng(0)).size == 0


def test_what_undoing_a_treatment_mends_of_its_damage(pool: GoodImages) -> None:
    images = GoodImages(
        pool.val, pool.rows[pool.labels == 1], pool.tools, 0
    )  # the pretended model reads these as lit
    for strength, share in ((0.25, 1.0), (1e-3, 0.0)):  # what is black stays black
        treated = images.apply_remedy("exposure", strength, strength)
        wrong = _lit(treated) != images.labels
        assert wrong.all()
        assert images.measure_regained_share("exposure", treated, wrong, strength) == share
        assert (
            images.measure_regained_share("noise", treated, wrong, 12.0) == 0.0
        )  # nothing undoes it
        assert (
            images.measure_regained_share("exposure", treated, ~wrong, 0.25) == 1.0
        )  # there is no damage
