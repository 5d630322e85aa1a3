from dataclasses import replace

import numpy as np
import pytest

from pipeline import remedies
from pipeline.slicing.repair import Tools
from pipeline.slicing.undone import regained, undo_each_other


@pytest.fixture
def tools() -> Tools:
    """A pretended model that says of each photo whether it is lighter than 100 on average."""
    pixels = np.random.default_rng(0).integers(105, 120, (40, 8, 8, 3)).astype(np.uint8)
    return Tools(pixels, remedies.treat, lambda p: p, lambda p: (p.mean((1, 2, 3)) > 100).astype(np.intp))


def _copies(tools: Tools, remedy: str, dose: float) -> tuple[np.ndarray, tuple[str, float]]:
    return remedies.treat(remedy, tools.pixels, dose, dose, 0), (remedy, dose)


def test_an_inverse_regains_its_own_damage_and_no_other_cause_does(tools: Tools) -> None:
    said, (dark, cause) = np.ones(40, np.intp), _copies(tools, "exposure", 0.45)
    assert regained(tools, said, dark, cause, 0) == 1
    assert regained(tools, said, dark, ("rotation", 20.0), 0) == 0
    assert regained(tools, said, dark, ("blur", 2.0), 0) == 0  # nothing undoes it
    assert regained(tools, said, tools.pixels, cause, 0) == 0  # nothing was changed
    assert regained(replace(tools, guess=None), said, dark, cause, 0) == 0


def test_two_causes_are_one_where_each_undoes_the_other(tools: Tools) -> None:
    said, dark = np.ones(40, np.intp), _copies(tools, "exposure", 0.45)
    assert undo_each_other(tools, said, dark, _copies(tools, "gamma", 2.0), 0)
    assert not undo_each_other(tools, said, dark, _copies(tools, "rotation", 20.0), 0)
