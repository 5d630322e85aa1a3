import json

import pytest

from pipeline.slices.tracking.slice_history import (
    MAX_HISTORY_RUNS,
    TrackedSlice,
    bound_excess_error,
)
from tests.tracks import DARK, after, drawn_val, found


def _last(*runs: tuple[tuple[int, ...], bool]) -> TrackedSlice:
    """The slice after runs of (dark, wrong[, others, lit_wrong]), each confirmed or not."""
    left = after(
        *((drawn_val(*counts), [found()] if confirmed else []) for counts, confirmed in runs)
    )
    return left[-1][0]


def test_growing_and_shrinking_are_shown_not_read_off() -> None:
    start = ((120, 48), True)
    more = _last(start, ((240, 96), True))
    assert (more.state, more.current_point["error"]["value"]) == ("growing", pytest.approx(0.4)), (
        "as bad, and more of them"
    )
    assert more.change is not None
    assert more.change["low"] > 0
    assert "more of all images are in it and misread than in run r1" in more.why
    assert _last(start, ((120, 110), True)).state == "growing"
    assert _last(start, ((120, 20), True)).state == "shrinking"
    noise = _last(start, ((120, 52), True))
    assert noise.state == "open"
    assert "no change was shown since run r1" in noise.why


def test_closed_is_shown_and_not_only_not_found() -> None:
    start = ((120, 48), True)
    assert _last(start, ((120, 48), False)).state == "open", (
        "the finder missed it, its rule shows it"
    )
    gone = _last(start, ((120, 2), False))
    assert gone.state == "closed"
    assert "no longer in excess" in gone.why
    few = _last(start, ((20, 0), False))
    assert few.state == "not assessable"
    assert "20 images inside; 30 would do" in few.why
    assert _last(start, ((40, 4), False)).state == "shrinking", (
        "fewer, but an excess of 17 points is not excluded"
    )
    undecided = _last(((40, 8), True), ((40, 4), False))
    assert undecided.state == "not assessable"
    assert "neither shown to be there nor to be gone" in undecided.why


def test_what_became_as_bad_everywhere_is_not_closed() -> None:
    everywhere = _last(((400, 160), True), ((400, 160, 600, 240), False))
    assert everywhere.current_point["excess"]["low"] < 0
    assert bound_excess_error(everywhere.current_point) < 0.1
    assert everywhere.state != "closed"


def test_no_failure_among_few_groups_proves_little() -> None:
    """Where nobody failed there is no spread between groups, and an interval of none would prove anything."""
    none = _last(((120, 12), True), ((30, 0), False))
    assert none.current_point["excess"]["high"] < 0
    assert bound_excess_error(none.current_point) > 0.05
    assert none.state != "closed"
    assert _last(((120, 12), True), ((300, 0), False)).state == "closed"


def test_what_was_closed_stays_so_until_it_is_shown_or_confirmed_again() -> None:
    start, gone = ((120, 48), True), ((120, 2), False)
    assert _last(start, gone, ((20, 8), False)).state == "closed", "too few images show nothing"
    shown = _last(start, gone, ((120, 48), False))
    assert shown.state == "growing"
    assert "not confirmed in this run, but its rule still shows it" in shown.why
    assert _last(start, gone, ((120, 48), False), ((120, 48), True)).state == "back"
    back = _last(start, gone, ((20, 8), False), ((120, 48), True))
    assert (back.state, back.why) == ("back", "closed in run r2, and confirmed again")


def test_what_could_not_be_judged_is_compared_over() -> None:
    track = _last(((120, 48), True), ((20, 8), False), ((120, 110), True))
    assert (track.previous_point or {})["run"] == "r1"
    assert track.state == "growing"


def test_a_track_is_what_its_record_says_and_its_history_is_bounded() -> None:
    (first,) = after((drawn_val(60, 30), [found(seen=frozenset({"x"}))]))[0]
    record = json.loads(json.dumps(first.build_record(), allow_nan=False))
    assert TrackedSlice.parse_record(record, frozenset({"x"})) == first
    assert (record["rule"], record["now"]["n"]) == (DARK.format_text(), 60)
    val = drawn_val(60, 30)
    (long,) = after(*[(val, [found()])] * (MAX_HISTORY_RUNS + 5))[-1]
    runs = [point["run"] for point in long.history]
    assert (len(runs), runs[0], runs[-1]) == (MAX_HISTORY_RUNS, "r1", f"r{MAX_HISTORY_RUNS + 5}")
