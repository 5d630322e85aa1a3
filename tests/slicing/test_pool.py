"""Good photos of a drawn val, and what of a treatment's damage its undoing mends."""

import numpy as np
import pytest

from pipeline import remedies
from pipeline.slicing.pool import Pool, good_photos, sample
from pipeline.slicing.repair import Tools
from tests.slicing.conftest import draw_val


def _lit(pixels: np.ndarray) -> np.ndarray:
    lit: np.ndarray = pixels.mean((1, 2, 3)) > 60
    return lit.astype(np.intp)


@pytest.fixture(scope="module")
def pool() -> Pool:
    drawn = draw_val()
    pixels = np.random.default_rng(0).integers(90, 140, (len(drawn.val.frame), 6, 6, 3)).astype(np.uint8)
    tools = Tools(pixels, remedies.treat, lambda some: some.mean((1, 2)).astype(float), _lit)
    return good_photos(drawn.val, ~drawn.dark, drawn.dark, tools, 100, 0)


def test_good_photos_are_correct_and_outside_in_the_shares_of_the_slice(pool: Pool) -> None:
    drawn = draw_val()
    assert 99 <= len(pool.rows) <= 101
    assert not drawn.val.errors[pool.rows].any()
    assert not drawn.dark[pool.rows].any()
    shares = [np.bincount(truth, minlength=3) / len(truth) for truth in (drawn.val.truth[drawn.dark], pool.truth)]
    assert shares[1] == pytest.approx(shares[0], abs=0.02)


def test_a_sample_takes_turns_among_groups() -> None:
    groups = np.array(["a"] * 50 + ["b"] * 2 + ["c"])
    rows = sample(groups, np.arange(53), 6, np.random.default_rng(0))
    assert sorted(groups[rows].tolist()) == ["a", "a", "a", "b", "b", "c"]
    assert sample(groups, np.arange(0), 6, np.random.default_rng(0)).size == 0


def test_what_undoing_a_treatment_mends_of_its_damage(pool: Pool) -> None:
    photos = Pool(pool.val, pool.rows[pool.truth == 1], pool.tools, 0)  # the pretended model reads these as lit
    for dose, share in ((0.25, 1.0), (1e-3, 0.0)):  # what is black stays black
        treated = photos.treat("exposure", dose, dose)
        wrong = _lit(treated) != photos.truth
        assert wrong.all()
        assert photos.regained("exposure", treated, wrong, dose) == share
        assert photos.regained("noise", treated, wrong, 12.0) == 0.0  # nothing undoes it
        assert photos.regained("exposure", treated, ~wrong, 0.25) == 1.0  # there is no damage
