from dataclasses import replace

import numpy as np
import pytest

from pipeline.domain.rules import Condition, Rule
from pipeline.domain.statuses import AssessmentObstacle, TrackState
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.slices.tracking.slice_history import TrackedSlice
from pipeline.slices.tracking.slice_matching import hash_groups, match_slices, track_slices
from tests.tracks import DARK, after, drawn_val, found, today


def test_a_slice_is_new_then_open_then_closed_then_back() -> None:
    bad, good = drawn_val(120, 48), drawn_val(120, 2)
    runs = after(
        (bad, [found()]),
        (bad, [found(name="s2")]),
        (good, []),
        (bad, []),
        (bad, [found(name="s7")]),
    )
    states = ["new", "open", "closed", "growing", "back"]
    tracks = [track for (track,) in runs]
    assert [track.state for track in tracks] == states
    assert [track.current_name for track in tracks] == ["s1", "s2", None, None, "s7"]
    assert {(track.first_run_id, track.first_name) for track in tracks} == {("r1", "s1")}
    assert [point["state"] for point in tracks[-1].history] == states
    assert [track.closing_run_id for track in tracks] == [None, None, "r3", "r3", None]
    (following,) = track_slices(today("r6", bad), [found()], runs[-1])
    assert following.state == TrackState.OPEN


def test_a_rule_is_measured_on_images_of_groups_that_did_not_propose_it() -> None:
    val = drawn_val(80, 40)
    # the first 40 images, all of them dark
    proposing = frozenset(hash_groups([f"g{k}" for k in range(20)]).tolist())
    (track,) = after((val, [found(seen=proposing)]))[0]
    point, failures = track.current_point, val.is_misclassified[40:80]
    assert (point["n"], point["groups"], point["failures"]) == (40, 20, failures.sum())
    assert point["error"]["value"] == pytest.approx(failures.mean())
    assert point["share"] == pytest.approx(40 / 340)
    assert point["burden"]["value"] == pytest.approx(failures.sum() / 340)
    (later,) = track_slices(today("r2", val), [found()], [track])
    assert {**later.current_point, "run": "r1", "state": "new"} == point


def test_rules_that_admit_mostly_the_same_images_are_one_slice() -> None:
    val = drawn_val(80, 40, hour=np.r_[np.full(70, 23.0), np.full(310, 12.0)])
    late = found(Rule((Condition("hour", ">=", 22),)), "s1")
    bright = found(Rule((Condition("luminance", ">=", 51),)), "s2")
    first, second = after((val, [found(name="s9")]), (val, [bright, late]))[1]
    assert (first.first_name, first.current_name, first.state) == ("s2", "s2", TrackState.NEW)
    assert (second.first_name, second.current_name, second.state) == ("s9", "s1", TrackState.OPEN)
    assert second.rule == DARK, "its rule stays frozen"


def test_each_slice_is_matched_once_to_the_largest_overlap() -> None:
    val = drawn_val(80, 40)
    rules = [Rule((Condition("luminance", "<=", threshold),)) for threshold in (50, 60)]
    confirmed = [found(rule, f"s{k}") for k, rule in enumerate(rules)]
    (earlier,) = after((val, [found()]))[0]
    assert match_slices(today("r2", val), confirmed, [earlier]) == {0: 0}
    states = [track.state for track in track_slices(today("r2", val), confirmed, [earlier])]
    assert states == [TrackState.NEW, TrackState.OPEN]
    larger = Rule((Condition("luminance", "<=", 500),))
    assert match_slices(today("r2", val), [found(larger)], [earlier]) == {}, "overlap too small"


MISSING_DATA = {
    "camera": (
        Rule((Condition("camera", "is", "north"),)),
        AssessmentObstacle.MISSING_COLUMN,
        "camera",
    ),
    "altitude": (
        Rule((Condition("altitude", "<=", 2.0),)),
        AssessmentObstacle.COLUMN_NOT_NUMERIC,
        "altitude",
    ),
    "class": (
        Rule((Condition("luminance", "<=", 50),), "a"),
        AssessmentObstacle.MISSING_CLASS,
        "a",
    ),
    "image": (Rule((Condition("i3", "near", 0.2),)), AssessmentObstacle.MISSING_IMAGE, "i3"),
    "sealed": (Rule((Condition("i4", "near", 0.2),)), AssessmentObstacle.SEALED_IMAGE, "i4"),
}


@pytest.mark.parametrize("name", MISSING_DATA)
def test_a_rule_that_cannot_be_applied_says_what_is_missing(name: str) -> None:
    rule, kind, missing = MISSING_DATA[name]
    val = drawn_val(80, 40, camera=np.repeat(["north", "south"], 190), altitude=1.5)
    distances = {image: np.full(380, 0.1, np.float32) for image in ("i3", "i4")}
    first = today("r1", val, **distances)
    assert first.find_missing_data(rule) is None
    tracks = track_slices(first, [found(rule)], [])
    later_val = replace(drawn_val(80, 40, altitude="high"), class_names=("b", "c"))
    later = today("r2", later_val, i4=np.full(380, np.nan, np.float32))
    (track,) = track_slices(later, [], tracks)
    assert track.state == TrackState.NOT_ASSESSABLE
    assert track.current_point["n"] == 0
    obstacle = track.current_point["obstacle"]
    assert (obstacle["kind"], obstacle["name"]) == (kind, missing)


def test_without_slices_or_images_nothing_fails() -> None:
    assert track_slices(today("r1", drawn_val(0, 0, 0, 0)), [], []) == []
    (track,) = after((drawn_val(80, 40), [found()]), (drawn_val(0, 0, 0, 0), []))[1]
    assert track.state == TrackState.NOT_ASSESSABLE
    assert track.current_point["n"] == 0
    assert track.current_point["error"]["value"] is None


def test_slices_confirmed_longest_ago_are_dropped() -> None:
    most = CONSTANTS.tracking.max_tracked_slices
    earlier = []
    for k in range(most + 20):
        rule = Rule((Condition("luminance", "<=", -k),))
        track = TrackedSlice("r0", f"t{k}", rule, frozenset(), "", last_run_id=f"r{k:04d}")
        earlier.append(track)
    kept = track_slices(today("r1", drawn_val(80, 40)), [found()], earlier)
    names = {track.first_name for track in kept}
    assert len(kept) == most
    assert {"s1", f"t{most + 19}"} <= names
    assert "t0" not in names


def test_a_hashed_group_does_not_reveal_its_name() -> None:
    hashes = hash_groups(["visit-1", "visit-2", "visit-1"])
    assert hashes[0] == hashes[2] != hashes[1]
    assert "visit" not in "".join(hashes)
    assert {len(name) for name in hashes} == {CONSTANTS.tracking.group_hash_digits}
    assert hash_groups([]).tolist() == []
