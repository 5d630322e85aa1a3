from dataclasses import replace

import numpy as np
import pytest

from pipeline.domain.rules import Condition, Rule
from pipeline.slices.tracking.slice_history import TrackedSlice
from pipeline.slices.tracking.slice_matching import (
    MAX_TRACKED_SLICES,
    ConfirmedSlice,
    hash_groups,
    match_slices,
    track_slices,
)
from tests.tracks import DARK, after, drawn_val, found, today


def _states(tracks: list[TrackedSlice]) -> dict[str, str]:
    return {track.first: track.state for track in tracks}


def test_a_slice_is_new_then_open_then_closed_then_back() -> None:
    bad, well = drawn_val(120, 48), drawn_val(120, 2)
    left = after(
        (bad, [found()]),
        (bad, [found(name="s2")]),
        (well, []),
        (bad, []),
        (bad, [found(name="s7")]),
    )
    assert [tracks[0].state for tracks in left] == ["new", "open", "closed", "growing", "back"]
    assert [tracks[0].slice for tracks in left] == ["s1", "s2", None, None, "s7"]
    assert all((tracks[0].since, tracks[0].first) == ("r1", "s1") for tracks in left)
    assert [p["state"] for p in left[-1][0].history] == ["new", "open", "closed", "growing", "back"]
    assert [tracks[0].closed for tracks in left] == [None, None, "r3", "r3", None]
    again = track_slices(today("r6", bad), [found()], left[-1])
    assert again[0].state == "open", "what is back is open from the next run on"


def test_figures_are_those_of_the_frozen_rule_on_images_that_did_not_propose_it() -> None:
    val = drawn_val(80, 40)
    seen = frozenset(
        hash_groups([f"g{k}" for k in range(20)]).tolist()
    )  # the first 40 images, all dark
    (track,) = after((val, [found(seen=seen)]))[0]
    rest = val.is_misclassified[40:80]
    assert (
        track.current_point["n"],
        track.current_point["groups"],
        track.current_point["failures"],
    ) == (40, 20, int(rest.sum()))
    assert track.current_point["error"]["value"] == pytest.approx(rest.mean())
    assert track.current_point["share"] == pytest.approx(40 / 340)
    assert track.current_point["burden"]["value"] == pytest.approx(rest.sum() / 340)
    second = track_slices(today("r2", val), [found()], [track])[0]
    assert {**second.current_point, "run": "r1", "state": "new"} == track.current_point, (
        "nothing changed, so no figure did"
    )


def test_rules_that_admit_mostly_the_same_images_are_one_slice_whatever_they_ask_for() -> None:
    val = drawn_val(80, 40, hour=np.r_[np.full(70, 23.0), np.full(310, 12.0)])
    late = found(Rule((Condition("hour", ">=", 22),)), "s1")
    lit = found(Rule((Condition("luminance", ">=", 51),)), "s2")
    left = after((val, [found(name="s9")]), (val, [lit, late]))[1]
    told = {(track.first, track.since, track.slice, track.state) for track in left}
    assert told == {("s9", "r1", "s1", "open"), ("s2", "r2", "s2", "new")}
    assert left[1].rule == DARK, "its rule stays frozen"


def test_each_slice_is_matched_once_best_overlap_first() -> None:
    val = drawn_val(80, 40)
    near = [found(Rule((Condition("luminance", "<=", at),)), f"s{at}") for at in (50, 60)]
    tracks = after((val, [found()]))[0]
    assert match_slices(today("r2", val), near, tracks) == {0: 0}
    assert sorted(_states(after((val, [found()]), (val, near))[1]).values()) == ["new", "open"]


def test_what_the_data_has_no_more_is_said() -> None:
    cameras = {"camera": np.repeat(["north", "south"], 190), "height": 1.5}
    rules = {
        "camera": Rule((Condition("camera", "is", "north"),)),
        "height": Rule((Condition("height", "<=", 2.0),)),
        "class": Rule((Condition("luminance", "<=", 50),), "a"),
        "image": Rule((Condition("i3", "near", 0.2),)),
        "sealed": Rule((Condition("i4", "near", 0.2),)),
    }
    val = drawn_val(80, 40, **cameras)
    away = {"i3": np.full(380, 0.9, np.float32), "i4": np.full(380, 0.9, np.float32)}
    first = track_slices(
        today("r1", val, **away), [found(rule, name) for name, rule in rules.items()], []
    )
    later = drawn_val(80, 40, height="tall")
    later = replace(later, class_names=("b", "c"))
    sealed = {"i4": np.full(380, np.nan, np.float32)}
    left = {track.first: track for track in track_slices(today("r2", later, **sealed), [], first)}
    assert {track.state for track in left.values()} == {"not assessable"}
    whys = (
        "no camera any more",
        "not a number any more",
        "no class a any more",
        "not in the data",
        "sealed test now",
    )
    for name, why in zip(rules, whys, strict=True):
        assert why in left[name].why, name
        assert left[name].current_point["n"] == 0


def test_zero_slices_zero_images_and_too_many() -> None:
    assert track_slices(today("r1", drawn_val(0, 0, 0, 0)), [], []) == []
    (track,) = after((drawn_val(80, 40), [found()]), (drawn_val(0, 0, 0, 0), []))[1]
    assert (track.state, track.current_point["n"], track.current_point["error"]["value"]) == (
        "not assessable",
        0,
        None,
    )
    many = [
        TrackedSlice(
            "r0",
            f"t{k}",
            Rule((Condition("luminance", "<=", -k),)),
            frozenset(),
            "",
            last=f"r{k:04d}",
        )
        for k in range(MAX_TRACKED_SLICES + 20)
    ]
    kept = track_slices(today("r1", drawn_val(80, 40)), [found()], many)
    assert len(kept) == MAX_TRACKED_SLICES
    assert {"s1", f"t{MAX_TRACKED_SLICES + 19}"} <= {t.first for t in kept}
    assert "t0" not in {t.first for t in kept}, "confirmed longest ago"


def test_a_group_is_hashed_to_a_short_name_that_does_not_tell_it() -> None:
    names = hash_groups(["visit-1", "visit-2", "visit-1"])
    assert names[0] == names[2] != names[1]
    assert len(names[0]) == 16
    assert "visit" not in "".join(names)
    assert hash_groups([]).tolist() == []
    assert isinstance(found(), ConfirmedSlice)
