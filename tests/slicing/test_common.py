from dataclasses import replace

import numpy as np
import pytest

from pipeline.slicing.common import in_common
from pipeline.slicing.validation import Val
from tests.slicing.conftest import Draw


def _noise(val: Val) -> np.ndarray:
    return np.random.default_rng(3).normal(0, 1, (len(val.frame), 8)).astype(np.float32)


@pytest.fixture
def val(draw: Draw) -> Val:
    """Whole groups of class a are taken for b and lie near photos of b; a little sharper, mostly on camera north."""
    drawn = draw(2, planted=False).val
    odd, rng = _odd(drawn), np.random.default_rng(1)
    frame = drawn.frame.assign(
        sharpness=drawn.frame["sharpness"] + 1.5 * odd,
        camera=np.where(odd & (rng.random(len(odd)) < 0.9), "north", drawn.frame["camera"]),
    )
    return replace(drawn, frame=frame, guess=np.where(odd, 1, drawn.truth))


def _odd(val: Val) -> np.ndarray:
    group = np.unique(val.groups[val.truth == 0])[:12]
    return np.isin(val.groups, group)


def test_the_pair_of_classes_the_look_alikes_and_what_sets_them_apart_are_told(val: Val) -> None:
    odd, features = _odd(val), _noise(val)
    features[odd] += 6 * np.eye(8, dtype=np.float32)[0]
    features[val.truth == 1] += 5 * np.eye(8, dtype=np.float32)[0] + 2 * np.eye(8, dtype=np.float32)[1]
    told = str(in_common(val, odd, features, set(), 0)).split("; ")
    n = int(odd.sum())
    assert told[0] == f"{n} of {n} failures are a read as b"
    assert told[1].endswith("of them look most like another photo of the slice, 10 % would by chance")
    assert "of the other classes they look most like b: 99 % of them do, 55 % would" in told[2]
    assert told[3].startswith("sharpness 1.")
    assert told[3].endswith("standard deviations above others of their class")
    assert told[4].startswith("camera north for 9")
    assert len(told) == 5


def test_what_the_rule_asks_about_is_not_told_again_and_chance_is_no_likeness(val: Val) -> None:
    told = in_common(val, _odd(val), _noise(val), {"sharpness", "camera"}, 0)
    assert told == f"{int(_odd(val).sum())} of {int(_odd(val).sum())} failures are a read as b"
    assert in_common(val, _odd(val), None, {"sharpness", "camera"}, 0) == told


def test_a_measure_is_compared_within_the_class(val: Val) -> None:
    """A class that is sharper as a whole does not make its failures sharp."""
    drawn, odd = val.frame.assign(sharpness=10.0 * (val.truth == 0), camera="north"), _odd(val)
    drawn["sharpness"] += np.random.default_rng(0).normal(0, 1, len(drawn))
    told = in_common(replace(val, frame=drawn), odd, _noise(val), set(), 0)
    assert "sharpness" not in str(told)


def test_a_frames_own_group_is_no_look_alike(val: Val) -> None:
    """Frames of one track are alike in any case."""
    features = 3 * np.eye(256, dtype=np.float32)[8 + np.unique(val.groups, return_inverse=True)[1]]
    features[:, :8] += _noise(val)
    assert "look most like another" not in str(in_common(val, _odd(val), features, set(), 0))


def test_few_failures_say_nothing_and_whole_classes_are_borne(val: Val) -> None:
    few = np.zeros(len(val.frame), bool)
    few[np.flatnonzero(_odd(val))[:4]] = True
    assert in_common(val, few, _noise(val), set(), 0) is None
    every = in_common(val, np.ones(len(val.frame), bool), _noise(val), set(), 0)
    assert str(every).endswith("failures are a read as b")
    alone = replace(val, frame=val.frame.assign(group="g0"))
    assert in_common(alone, _odd(val), _noise(val), {"sharpness", "camera"}, 0) is not None
