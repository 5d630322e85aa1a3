import numpy as np

from pipeline.slicing.propose import Evidence, excess, propose
from tests.slicing.conftest import Draw, Planted


def _evidence(planted: Planted) -> Evidence:
    val = planted.val
    return Evidence(val.frame, val.errors, planted.signatures, (), np.zeros((0, len(val.frame)), np.float32))


def test_the_planted_slice_is_proposed_first_and_by_what_makes_it(draw: Draw) -> None:
    planted = draw(0)
    first = propose(_evidence(planted))[0]
    overlap = (first.mask & planted.dark).sum() / (first.mask | planted.dark).sum()
    assert overlap > 0.8, first.rule.words()
    assert {c.column for c in first.rule.conditions} <= {"luminance", "hour"}
    assert first.recoverable > 0.6 * (planted.val.errors & planted.dark).sum()


def test_membership_never_looks_at_the_outcome(draw: Draw) -> None:
    planted = draw(1)
    for found in propose(_evidence(planted)):
        assert (found.rule.mask(planted.val.frame) == found.mask).all()


def test_a_hard_class_is_no_excess() -> None:
    errors, classes = np.array([1, 1, 0, 0], bool), np.array([0, 0, 1, 1])
    assert excess(errors, classes).tolist() == [0, 0, 0, 0]


def test_no_failure_no_proposal(draw: Draw) -> None:
    evidence = _evidence(draw(0))
    nothing = Evidence(evidence.frame, np.zeros_like(evidence.errors), evidence.signatures, (), evidence.distance)
    assert propose(nothing) == []


def test_at_most_so_many_and_none_a_copy_of_another(draw: Draw) -> None:
    found = propose(_evidence(draw(2)), slices=3)
    assert 1 <= len(found) <= 3
    errors = draw(2).val.errors
    for i, one in enumerate(found):
        for other in found[:i]:
            both, either = (one.mask & other.mask & errors).sum(), ((one.mask | other.mask) & errors).sum()
            assert both <= 0.4 * either


def test_tiny_sets_survive(draw: Draw) -> None:
    planted = draw(0, groups=2, frames=3)
    assert propose(_evidence(planted)) == []
