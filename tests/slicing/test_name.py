from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.slicing.name import Rival, confused, dose_grid, elect, hours, order, sentence
from pipeline.slicing.rules import Condition, Rule

DARK = Rival("exposure", "too dark", 0.25, 0.2, True, 0.9, 0.4, 1.0, 0.3, 0.001)
DULL = Rival("contrast", "too low in contrast", 0.5, 0.6, True, 0.9, 0.3, 1.0, 0.1, 0.01)
BLUR = Rival("blur", "blurred", 2.0, 0.1, False, 0.5, 0.4, 0.9)
WORDS = {"luminance": ("dark", "bright")}
RULE = Rule((Condition("luminance", "<=", 40.0),))


def _frame(hour: float, camera: str, n: int = 40) -> pd.DataFrame:
    return pd.DataFrame(
        {"image_id": range(n), "label": "a", "group": range(n), "hour": hour + np.linspace(-2, 2, n), "camera": camera}
    )


def test_the_nearest_of_those_that_pass_wins() -> None:
    ranked = elect(order([DULL, BLUR, DARK], 0.05), set(), 0.05)
    assert [r.remedy for r in ranked if r.named] == ["blur"]
    ranked = elect(order([DULL, replace(BLUR, auc=0.7), DARK], 0.05), set(), 0.05)
    assert [r.remedy for r in ranked if r.named] == ["exposure"]


def test_of_equally_near_rivals_the_one_hardest_to_tell_from_the_slice_comes_first() -> None:
    near = replace(DULL, apart=0.18, auc=0.95)
    ranked = elect(order([near, replace(DARK, auc=0.7)], 0.05), set(), 0.05)
    assert [r.remedy for r in ranked] == ["exposure", "contrast"]
    assert [r.remedy for r in ranked if r.named] == ["exposure"]  # the other is told from the slice by far


def test_of_rivals_that_nothing_tells_apart_the_one_that_repairs_most_comes_first() -> None:
    weak = replace(DARK, remedy="gamma", words="too dark in the mid-tones", apart=DARK.apart - 0.02, repairs=0.1)
    ranked = elect(order([weak, DARK], 0.05), set(), 0.05)
    assert [r.remedy for r in ranked] == ["exposure", "gamma"]
    assert all(r.named for r in ranked)


def test_what_does_not_reproduce_or_repair_is_never_named() -> None:
    for broken in (
        replace(DARK, reproduces=0.01),
        replace(DARK, p_repairs=0.2),
        replace(DARK, repairs=-0.3),
        replace(BLUR, auc=0.8),
        replace(BLUR, confusions=0.1),
        replace(BLUR, auc=0.8, share=0.9, ahead=-0.1),
        replace(BLUR, auc=0.8, share=0.4, ahead=0.2),
        replace(DARK, p_repairs=0.2, share=0.9, ahead=-0.1),
        replace(DARK, p_repairs=0.2, repairs=-0.1, share=0.9, ahead=0.8),
    ):
        assert not any(r.named for r in elect(order([broken], 0.05), set(), 0.05))


def test_photo_by_photo_a_cause_is_named_that_its_copies_as_a_whole_do_not_show() -> None:
    covered = replace(BLUR, remedy="occlusion", auc=0.7, share=0.9, ahead=0.8)
    unjudged = replace(DARK, p_repairs=None, share=0.7, ahead=0.2)  # too few groups fail to judge what repairs them
    unshown = replace(unjudged, p_repairs=0.2)  # it repairs some, but in too few groups to be sure
    for rival in (covered, unjudged, unshown):
        (ranked,) = elect(order([rival], 0.05), set(), 0.05)
        assert ranked.named
        told = sentence([ranked], RULE, _frame(1, "north"), _frame(12, "south"), 90, WORDS, "")
        assert told.startswith(f"Consistent with {rival.words}: 39 of 40 failures")


def test_what_an_inverse_repairs_gives_way_to_the_cause_that_accounts_for_most_failures() -> None:
    fog = replace(BLUR, remedy="fog", words="foggy", apart=DULL.apart + 0.1, auc=0.9, share=0.7, ahead=0.3)
    ranked = elect(order([replace(DULL, share=0.2, ahead=-0.6), fog], 0.05), set(), 0.05)
    assert [(r.remedy, r.named) for r in ranked] == [("fog", True), ("contrast", False)]
    unsure = replace(fog, ahead=-0.1)
    assert [r.remedy for r in elect(order([DULL, unsure], 0.05), set(), 0.05) if r.named] == ["contrast"]
    other = replace(fog, remedy="noise", words="noisy", confusions=0.1)  # does not pass, and still they are its own
    hardly = replace(DULL, share=0.01, ahead=-0.9)  # its inverse repairs, and no failure looks like its own
    for rivals in ([hardly, other], [hardly]):
        assert not any(r.named for r in elect(order(rivals, 0.05), set(), 0.05))
    idle = replace(fog, reproduces=0.01)
    assert [r.remedy for r in elect(order([DULL, idle], 0.05), set(), 0.05) if r.named] == ["contrast"]


def test_two_that_together_account_for_most_failures_are_named_both_or_the_one_that_is_left() -> None:
    bright = replace(BLUR, remedy="exposure", words="too bright", auc=0.9, share=0.45, ahead=-0.1, pair=0.8)
    light = replace(bright, remedy="gamma", words="too light in the mid-tones", apart=0.5, share=0.35)
    third = replace(DULL, share=0.15, ahead=-0.5)
    ranked = elect(order([third, light, bright], 0.05), set(), 0.05)
    assert [r.remedy for r in ranked if r.named] == ["exposure", "gamma"]
    assert not any(r.undone for r in ranked[:2])
    told = sentence(ranked, RULE, _frame(1, "north"), _frame(12, "south"), 90, WORDS, "")
    assert told.startswith("Consistent with too bright or too light in the mid-tones: 39 of 40 failures")
    idle = replace(light, repairs=-0.1, p_repairs=1.0)  # its inverse repairs nothing: it is not that one
    assert [r.remedy for r in elect(order([idle, bright], 0.05), set(), 0.05) if r.named] == ["exposure"]
    for few in (replace(bright, pair=0.45), replace(bright, share=0.05), replace(bright, confusions=0.1)):
        assert not any(r.named for r in elect(order([few], 0.05), set(), 0.05))


def test_an_unbeaten_rival_is_named_too_unless_it_is_the_same_thing() -> None:
    near = replace(DULL, apart=0.22)
    assert [r.remedy for r in elect(order([near, DARK], 0.05), set(), 0.05) if r.named] == ["exposure", "contrast"]
    ranked = elect(order([near, DARK], 0.05), {"contrast"}, 0.05)
    assert [(r.remedy, r.named, r.equivalent) for r in ranked] == [("exposure", True, False), ("contrast", False, True)]


def test_a_rival_that_hardly_any_photo_shows_is_not_named_beside_the_cause_of_most() -> None:
    near = replace(DULL, apart=0.22)
    for shares, named in (((0.6, 0.05), 1), ((0.6, 0.2), 2), ((0.4, 0.05), 2)):
        best, other = (replace(r, share=v, ahead=-0.5) for r, v in zip((DARK, near), shares, strict=True))
        ranked = elect(order([other, best], 0.05), set(), 0.05)
        assert [r.remedy for r in ranked if r.named] == ["exposure", "contrast"][:named]


@pytest.mark.parametrize(
    ("inside", "outside", "arc"),
    [(23.0, 12.0, (21, 1)), (12.0, 12.0, None), (3.0, 14.0, (1, 5))],
)
def test_hours_are_told_where_they_set_the_slice_apart(
    inside: float, outside: float, arc: tuple[int, int] | None
) -> None:
    rng = np.random.default_rng(0)
    draw = [pd.Series((centre + rng.uniform(-1.9, 1.9, 200)) % 24) for centre in (inside, outside)]
    assert hours(*draw) == arc


def test_the_sentence_begins_with_the_cause_and_counts_the_failures_of_its_hours_and_camera() -> None:
    rivals, failing = elect([DARK], set(), 0.05), _frame(1, "north", 71)
    failing["hour"] = np.where(np.arange(71) < 66, 21 + np.linspace(0, 7.9, 71), 12.0) % 24
    failing.loc[[0, 1, 2, 3], "camera"] = "south"
    ending = "; twice the exposure repairs 74 % of them"
    told = (WORDS, ending)
    assert sentence(rivals, RULE, failing, _frame(12, "south"), 90, *told) == (
        "Too dark: 62 of 71 failures were taken from 21:00 to 05:00 on camera north; "
        "twice the exposure repairs 74 % of them."
    )
    assert sentence(rivals, RULE, failing, _frame(12, "north"), 90, *told).startswith(
        "Too dark: 66 of 71 failures were taken from 21:00 to 05:00; twice"
    )
    everywhere = _frame(1, "north").assign(hour=failing["hour"][:40])
    assert sentence(rivals, RULE, failing, everywhere.assign(camera="south"), 90, *told).startswith(
        "Too dark: 67 of 71 failures were taken on camera north; twice"
    )
    assert sentence(rivals, RULE, failing, everywhere, 90, *told) == (
        "Too dark: 71 of 90 photos are misread; twice the exposure repairs 74 % of them."
    )


def test_other_columns_are_named_before_the_camera() -> None:
    failing, outside = (_frame(12, c).assign(weather=w) for c, w in (("north", "rain"), ("south", "sun")))
    text = sentence([DARK], RULE, failing, outside, 90, WORDS, "")
    assert text == "Dark (cause unnamed): 40 of 40 failures were taken with weather rain on camera north."


def test_a_pair_of_classes_is_told_where_it_makes_up_most_of_the_failures() -> None:
    assert confused(["stop"] * 7 + ["yield"] * 3, ["speed 30"] * 10) == ", mostly stop read as speed 30"
    assert confused(["stop"] * 6 + ["yield"] * 4, ["speed 30"] * 10) == ""
    assert confused([], []) == ""


def test_without_a_cause_the_sentence_says_so_and_tells_the_rule() -> None:
    text = sentence([DARK], RULE, _frame(12, "north"), _frame(12, "north"), 90, WORDS, "")
    assert text.startswith("Dark (cause unnamed): 40 of 90")


def test_of_a_mark_the_sentence_says_that_the_model_leans_on_it() -> None:
    rule = Rule((Condition("mark of none", "is", "False"),), "none")
    failing = _frame(12, "north", 30)
    assert sentence([], rule, failing, _frame(12, "north"), 40, {}, ".").startswith(
        "Without the mark of none, on which the model leans, in class none: 30 of 40 photos are misread"
    )


def test_doses_to_match_lie_on_either_side_of_neutral() -> None:
    below, above = dose_grid((0.25, 0.5, 2.0), 1.0)
    assert below[:4] == [0.75, 0.5, 0.375, 0.25]
    assert below[4:] == pytest.approx([0.125, 0.25**2.25, 0.25**3.375, 0.25**5.0625])
    assert above == pytest.approx([1.5, 2.0, 2**1.5, 2**2.25, 2**3.375, 2**5.0625])
    assert dose_grid((40.0, 10.0), 100.0) == [[70.0, 40.0, 25.0, 10.0, 5.0, 2.5, 1.25, 0.625]]
    assert dose_grid((10.0,), 0.0) == [[5.0, 10.0, 15.0, 22.5, 33.75, 50.625]]
    assert dose_grid((1.0,), None) == [[1.0]]


def test_a_column_that_is_empty_for_every_failing_photo_is_passed_over() -> None:
    failing = _frame(12, "north").assign(badge=pd.Series([None] * 40, dtype="str"))
    outside = _frame(12, "north").assign(badge="blue")
    assert "badge" not in sentence([], RULE, failing, outside, 90, WORDS, "")
