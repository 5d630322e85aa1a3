import numpy as np
import pytest

from pipeline.statistics.simplest_choice import choose_simplest_candidate

GROUPS = np.repeat(np.arange(100), 4)
INSIDE = GROUPS < 50


def _worth(*dark: float, lit: float = 0.9) -> np.ndarray:
    """Return one row for each model: its share of correct dark images; all others are lit."""
    luck = np.random.default_rng(0).permutation(50)[GROUPS % 50] / 50
    return np.stack([np.where(INSIDE, luck < d, luck < lit).astype(float) for d in dark])


def test_the_best_candidate_is_chosen_if_clearly_better() -> None:
    chosen, effects = choose_simplest_candidate(_worth(0.4, 0.5, 0.8), INSIDE, GROUPS)
    assert chosen == 1
    assert effects[1]["gain"] == pytest.approx(0.4)
    assert effects[1]["overall"] == pytest.approx(0.2)


def test_the_simplest_wins_within_one_standard_error() -> None:
    assert choose_simplest_candidate(_worth(0.4, 0.8, 0.8), INSIDE, GROUPS)[0] == 0
    assert choose_simplest_candidate(_worth(0.4, 0.78, 0.8), INSIDE, GROUPS)[0] == 0


def test_what_gains_nothing_or_harms_the_others_is_out() -> None:
    assert choose_simplest_candidate(_worth(0.4, 0.4, 0.3), INSIDE, GROUPS)[0] is None
    worth = _worth(0.4, 0.9, 0.6)
    worth[1, ~INSIDE] = 0.0
    assert choose_simplest_candidate(worth, INSIDE, GROUPS)[0] == 1
    assert choose_simplest_candidate(worth[:1], INSIDE, GROUPS) == (None, [])
    assert choose_simplest_candidate(worth, INSIDE & False, GROUPS)[0] is None
