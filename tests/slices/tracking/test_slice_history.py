import json

import pytest

from pipeline.domain.statuses import AssessmentObstacle, TrackReason, TrackState
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.slices.tracking.slice_history import TrackedSlice, bound_excess_error, is_slice_gone
from pipeline.statistics.untestable_reasons import UntestableKind, UntestableReason
from tests.tracks import DARK, after, drawn_val, found

START = ((120, 48), True)
GONE = ((120, 2), False)


def _track(*runs: tuple[tuple[int, ...], bool]) -> TrackedSlice:
    """Return the slice after runs of (dark images, failures[, others, their failures]).

    The flag of each run is whether it confirmed the slice.
    """
    drawn = []
    for counts, is_confirmed in runs:
        drawn.append((drawn_val(*counts), [found()] if is_confirmed else []))
    return after(*drawn)[-1][0]


def test_a_slice_grows_if_more_of_all_images_fail_in_it() -> None:
    larger = _track(START, ((240, 96), True))
    assert larger.state == TrackState.GROWING
    assert larger.current_point["error"]["value"] == pytest.approx(0.4), "the error rate is equal"
    assert larger.change is not None
    assert larger.change["low"] > 0
    assert larger.reason == TrackReason.CONFIRMED_AGAIN
    assert _track(START, ((120, 110), True)).state == TrackState.GROWING


def test_a_slice_shrinks_only_beyond_chance() -> None:
    assert _track(START, ((120, 20), True)).state == TrackState.SHRINKING
    noise = _track(START, ((120, 52), True))
    assert noise.state == TrackState.OPEN
    assert noise.change is not None
    assert noise.change["low"] < 0 < noise.change["high"]


def test_a_slice_that_was_not_confirmed_stays_open_if_its_rule_has_excess_error() -> None:
    still = _track(START, ((120, 48), False))
    assert (still.state, still.reason) == (TrackState.OPEN, TrackReason.RULE_IN_EXCESS)


def test_a_slice_is_closed_if_its_excess_error_is_excluded() -> None:
    gone = _track(START, GONE)
    assert gone.state == TrackState.CLOSED
    assert gone.closing_run_id == "r2"
    assert is_slice_gone(gone, 0.1)
    assert gone.reason == TrackReason.NO_EXCESS


def test_few_images_close_nothing() -> None:
    few = _track(START, ((20, 0), False))
    assert few.state == TrackState.NOT_ASSESSABLE
    assert few.reason == TrackReason.NOT_ASSESSABLE
    obstacle = few.current_point["obstacle"]
    assert obstacle["kind"] == AssessmentObstacle.UNTESTABLE
    reason = UntestableReason(UntestableKind.TOO_FEW_IMAGES, 20, 30)
    assert obstacle["reason"] == reason.build_record()
    # an excess of 17 points is not excluded
    assert _track(START, ((40, 4), False)).state == TrackState.SHRINKING
    undecided = _track(((40, 8), True), ((40, 4), False))
    assert undecided.state == TrackState.NOT_ASSESSABLE
    assert undecided.reason == TrackReason.UNDECIDED, "it was assessed, but nothing follows"
    assert undecided.current_point["obstacle"] is None


def test_a_slice_is_not_closed_where_all_images_became_as_bad() -> None:
    everywhere = _track(((400, 160), True), ((400, 160, 600, 240), False))
    assert everywhere.current_point["excess"]["low"] < 0
    assert bound_excess_error(everywhere.current_point) < 0.1
    assert everywhere.state != TrackState.CLOSED


def test_no_failure_in_few_groups_does_not_exclude_an_excess() -> None:
    """Groups without failures have no spread, so the interval of the excess is too short."""
    none = _track(((120, 12), True), ((30, 0), False))
    assert none.current_point["excess"]["high"] < 0
    assert bound_excess_error(none.current_point) > 0.05
    assert none.state != TrackState.CLOSED
    assert _track(((120, 12), True), ((300, 0), False)).state == TrackState.CLOSED


def test_a_closed_slice_stays_closed_while_it_cannot_be_assessed() -> None:
    closed = _track(START, GONE, ((20, 8), False))
    assert closed.state == TrackState.CLOSED
    assert closed.closing_run_id == "r2"


def test_a_closed_slice_opens_if_its_rule_has_excess_error_again() -> None:
    shown = _track(START, GONE, ((120, 48), False))
    assert shown.state == TrackState.GROWING
    assert shown.closing_run_id == "r2", "it is back only once it is confirmed"
    assert _track(START, GONE, ((120, 48), False), ((120, 48), True)).state == TrackState.BACK


def test_a_closed_slice_is_back_if_it_is_confirmed() -> None:
    back = _track(START, GONE, ((20, 8), False), ((120, 48), True))
    assert back.state == TrackState.BACK
    assert back.reason == TrackReason.CONFIRMED_AFTER_CLOSING
    assert back.earlier_closing_run_id == "r2"
    assert (back.closing_run_id, back.last_run_id) == (None, "r4")


def test_a_run_that_could_not_assess_the_slice_is_skipped_in_the_comparison() -> None:
    track = _track(START, ((20, 8), False), ((120, 110), True))
    assert track.previous_point is not None
    assert track.previous_point["run"] == "r1"
    assert track.state == TrackState.GROWING


def test_a_record_holds_everything_but_the_groups() -> None:
    groups = frozenset({"x"})
    (track,) = after((drawn_val(60, 30), [found(seen=groups)]))[0]
    record = json.loads(json.dumps(track.build_record(), allow_nan=False))
    assert TrackedSlice.parse_record(record, groups) == track
    assert (record["rule"], record["now"]["n"]) == (DARK.format_text(), 60)
    assert (record["since"], record["first"], record["slice"]) == ("r1", "s1", "s1")
    assert "x" not in record.values()


def test_the_history_keeps_the_first_run_and_the_latest_ones() -> None:
    most = CONSTANTS.tracking.max_history_runs
    val = drawn_val(60, 30)
    (track,) = after(*[(val, [found()])] * (most + 5))[-1]
    runs = [point["run"] for point in track.history]
    assert len(runs) == most
    assert (runs[0], runs[1], runs[-1]) == ("r1", "r7", f"r{most + 5}")
