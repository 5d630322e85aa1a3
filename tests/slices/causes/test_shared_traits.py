from dataclasses import replace

import numpy as np
import pytest

from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.causes.shared_traits import describe_shared_traits
from tests.slices.conftest import Draw


def _noise(val: ValidationSet) -> np.ndarray:
    return np.random.default_rng(3).normal(0, 1, (len(val.frame), 8)).astype(np.float32)


@pytest.fixture
def val(draw: Draw) -> ValidationSet:
    """Whole groups of class a are taken for b and lie near images of b; a little sharper, mostly on camera north."""
    drawn = draw(2, planted=False).val
    odd, rng = _odd(drawn), np.random.default_rng(1)
    frame = drawn.frame.assign(
        sharpness=drawn.frame["sharpness"] + 1.5 * odd,
        camera=np.where(odd & (rng.random(len(odd)) < 0.9), "north", drawn.frame["camera"]),
    )
    return replace(drawn, frame=frame, predictions=np.where(odd, 1, drawn.labels))


def _odd(val: ValidationSet) -> np.ndarray:
    group = np.unique(val.groups[val.labels == 0])[:12]
    return np.isin(val.groups, group)


def test_the_pair_of_classes_the_look_alikes_and_what_sets_them_apart_are_told(
    val: ValidationSet,
) -> None:
    odd, features = _odd(val), _noise(val)
    features[odd] += 6 * np.eye(8, dtype=np.float32)[0]
    features[val.labels == 1] += (
        5 * np.eye(8, dtype=np.float32)[0] + 2 * np.eye(8, dtype=np.float32)[1]
    )
    told = str(describe_shared_traits(replace(val, embeddings=features), odd, set(), 0)).split("; ")
    n = int(odd.sum())
    assert told[0] == f"{n} of {n} failures are a read as b"
    assert told[1].endswith(
        "of them look most like another image of the slice, 10 % would by chance"
    )
    assert "of the other classes they look most like b: 99 % of them do, 55 % would" in told[2]
    assert told[3].startswith("sharpness 1.")
    assert told[3].endswith("standard deviations above others of their class")
    assert told[4].startswith("camera north for 9")
    assert len(told) == 5


def test_what_the_rule_asks_about_is_not_told_again_and_chance_is_no_likeness(
    val: ValidationSet,
) -> None:
    told = describe_shared_traits(
        replace(val, embeddings=_noise(val)), _odd(val), {"sharpness", "camera"}, 0
    )
    assert told == f"{int(_odd(val).sum())} of {int(_odd(val).sum())} failures are a read as b"
    assert describe_shared_traits(val, _odd(val), {"sharpness", "camera"}, 0) == told


def test_a_measure_is_compared_within_the_class(val: ValidationSet) -> None:
    """A class that is sharper as a whole does not make its failures sharp."""
    drawn, odd = val.frame.assign(sharpness=10.0 * (val.labels == 0), camera="north"), _odd(val)
    drawn["sharpness"] += np.random.default_rng(0).normal(0, 1, len(drawn))
    told = describe_shared_traits(replace(val, frame=drawn, embeddings=_noise(val)), odd, set(), 0)
    assert "sharpness" not in str(told)


def test_a_frames_own_group_is_no_look_alike(val: ValidationSet) -> None:
    """Frames of one track are alike in any case."""
    features = 3 * np.eye(256, dtype=np.float32)[8 + np.unique(val.groups, return_inverse=True)[1]]
    features[:, :8] += _noise(val)
    assert "look most like another" not in str(
        describe_shared_traits(replace(val, embeddings=features), _odd(val), set(), 0)
    )


def test_few_failures_say_nothing_and_whole_classes_are_borne(val: ValidationSet) -> None:
    few = np.zeros(len(val.frame), bool)
    few[np.flatnonzero(_odd(val))[:4]] = True
    assert describe_shared_traits(replace(val, embeddings=_noise(val)), few, set(), 0) is None
    every = describe_shared_traits(
        replace(val, embeddings=_noise(val)), np.ones(len(val.frame), bool), set(), 0
    )
    assert str(every).endswith("failures are a read as b")
    alone = replace(val, frame=val.frame.assign(group="g0"))
    assert (
        describe_shared_traits(
            replace(alone, embeddings=_noise(val)), _odd(val), {"sharpness", "camera"}, 0
        )
        is not None
    )
