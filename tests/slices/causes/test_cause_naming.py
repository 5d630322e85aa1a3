from dataclasses import replace

import pytest

from pipeline.slices.causes.cause_naming import (
    CauseCandidate,
    build_strength_grid,
    name_causes,
    rank_candidates,
)

DARK = CauseCandidate("exposure", "too dark", 0.25, 0.2, True, 0.9, 0.4, 1.0, 0.3, 0.001)
DULL = CauseCandidate("contrast", "too low in contrast", 0.5, 0.6, True, 0.9, 0.3, 1.0, 0.1, 0.01)
BLUR = CauseCandidate("blur", "blurred", 2.0, 0.1, False, 0.5, 0.4, 0.9)


def test_the_nearest_of_those_that_pass_wins() -> None:
    ranked = name_causes(rank_candidates([DULL, BLUR, DARK], 0.05), set(), 0.05)
    assert [r.remedy for r in ranked if r.named] == ["blur"]
    ranked = name_causes(rank_candidates([DULL, replace(BLUR, auc=0.7), DARK], 0.05), set(), 0.05)
    assert [r.remedy for r in ranked if r.named] == ["exposure"]


def test_of_equally_near_rivals_the_one_hardest_to_tell_from_the_slice_comes_first() -> None:
    near = replace(DULL, apart=0.18, auc=0.95)
    ranked = name_causes(rank_candidates([near, replace(DARK, auc=0.7)], 0.05), set(), 0.05)
    assert [r.remedy for r in ranked] == ["exposure", "contrast"]
    assert [r.remedy for r in ranked if r.named] == [
        "exposure"
    ]  # the other is told from the slice by far


def test_of_rivals_that_nothing_tells_apart_the_one_that_repairs_most_comes_first() -> None:
    weak = replace(
        DARK,
        remedy="gamma",
        words="too dark in the mid-tones",
        apart=DARK.apart - 0.02,
        repairs=0.1,
    )
    ranked = name_causes(rank_candidates([weak, DARK], 0.05), set(), 0.05)
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
        assert not any(r.named for r in name_causes(rank_candidates([broken], 0.05), set(), 0.05))


def test_image_by_image_a_cause_is_named_that_its_copies_as_a_whole_do_not_show() -> None:
    covered = replace(BLUR, remedy="occlusion", auc=0.7, share=0.9, ahead=0.8)
    unjudged = replace(
        DARK, p_repairs=None, share=0.7, ahead=0.2
    )  # too few groups fail to judge what repairs them
    unshown = replace(unjudged, p_repairs=0.2)  # it repairs some, but in too few groups to be sure
    for rival in (covered, unjudged, unshown):
        (ranked,) = name_causes(rank_candidates([rival], 0.05), set(), 0.05)
        assert ranked.named
        assert not ranked.is_inverse_confirmed, (
            "it is consistent with the slice; that its inverse repairs was not shown"
        )


def test_what_an_inverse_repairs_gives_way_to_the_cause_that_accounts_for_most_failures() -> None:
    fog = replace(
        BLUR, remedy="fog", words="foggy", apart=DULL.apart + 0.1, auc=0.9, share=0.7, ahead=0.3
    )
    ranked = name_causes(
        rank_candidates([replace(DULL, share=0.2, ahead=-0.6), fog], 0.05), set(), 0.05
    )
    assert [(r.remedy, r.named) for r in ranked] == [("fog", True), ("contrast", False)]
    unsure = replace(fog, ahead=-0.1)
    assert [
        r.remedy for r in name_causes(rank_candidates([DULL, unsure], 0.05), set(), 0.05) if r.named
    ] == ["contrast"]
    other = replace(
        fog, remedy="noise", words="noisy", confusions=0.1
    )  # does not pass, and still they are its own
    hardly = replace(
        DULL, share=0.01, ahead=-0.9
    )  # its inverse repairs, and no failure looks like its own
    for rivals in ([hardly, other], [hardly]):
        assert not any(r.named for r in name_causes(rank_candidates(rivals, 0.05), set(), 0.05))
    idle = replace(fog, reproduces=0.01)
    assert [
        r.remedy for r in name_causes(rank_candidates([DULL, idle], 0.05), set(), 0.05) if r.named
    ] == ["contrast"]


def test_two_that_together_account_for_most_failures_are_named_both_or_the_one_that_is_left() -> (
    None
):
    bright = replace(
        BLUR, remedy="exposure", words="too bright", auc=0.9, share=0.45, ahead=-0.1, pair=0.8
    )
    light = replace(
        bright, remedy="gamma", words="too light in the mid-tones", apart=0.5, share=0.35
    )
    third = replace(DULL, share=0.15, ahead=-0.5)
    ranked = name_causes(rank_candidates([third, light, bright], 0.05), set(), 0.05)
    assert [r.remedy for r in ranked if r.named] == ["exposure", "gamma"]
    assert not any(r.is_inverse_confirmed for r in ranked[:2])
    idle = replace(
        light, repairs=-0.1, p_repairs=1.0
    )  # its inverse repairs nothing: it is not that one
    assert [
        r.remedy for r in name_causes(rank_candidates([idle, bright], 0.05), set(), 0.05) if r.named
    ] == ["exposure"]
    for few in (
        replace(bright, pair=0.45),
        replace(bright, share=0.05),
        replace(bright, confusions=0.1),
    ):
        assert not any(r.named for r in name_causes(rank_candidates([few], 0.05), set(), 0.05))


def test_an_unbeaten_rival_is_named_too_unless_it_is_the_same_thing() -> None:
    near = replace(DULL, apart=0.22)
    assert [
        r.remedy for r in name_causes(rank_candidates([near, DARK], 0.05), set(), 0.05) if r.named
    ] == ["exposure", "contrast"]
    ranked = name_causes(rank_candidates([near, DARK], 0.05), {"contrast"}, 0.05)
    assert [(r.remedy, r.named, r.equivalent) for r in ranked] == [
        ("exposure", True, False),
        ("contrast", False, True),
    ]


def test_a_rival_that_hardly_any_image_shows_is_not_named_beside_the_cause_of_most() -> None:
    near = replace(DULL, apart=0.22)
    for shares, named in (((0.6, 0.05), 1), ((0.6, 0.2), 2), ((0.4, 0.05), 2)):
        best, other = (
            replace(r, share=v, ahead=-0.5) for r, v in zip((DARK, near), shares, strict=True)
        )
        ranked = name_causes(rank_candidates([other, best], 0.05), set(), 0.05)
        assert [r.remedy for r in ranked if r.named] == ["exposure", "contrast"][:named]


def test_doses_to_match_lie_on_either_side_of_neutral() -> None:
    below, above = build_strength_grid((0.25, 0.5, 2.0), 1.0)
    assert below[:4] == [0.75, 0.5, 0.375, 0.25]
    assert below[4:] == pytest.approx([0.125, 0.25**2.25, 0.25**3.375, 0.25**5.0625])
    assert above == pytest.approx([1.5, 2.0, 2**1.5, 2**2.25, 2**3.375, 2**5.0625])
    assert build_strength_grid((40.0, 10.0), 100.0) == [
        [70.0, 40.0, 25.0, 10.0, 5.0, 2.5, 1.25, 0.625]
    ]
    assert build_strength_grid((10.0,), 0.0) == [[5.0, 10.0, 15.0, 22.5, 33.75, 50.625]]
    assert build_strength_grid((1.0,), None) == [[1.0]]
