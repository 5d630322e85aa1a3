from dataclasses import replace

import pytest

from pipeline.slices.causes.cause_naming import CauseCandidate, name_causes, rank_candidates

LEVEL = 0.05
DARK = CauseCandidate(
    "exposure", "too dark", 0.25, 0.2, True, 0.9, 0.4, 1.0, repair_effect=0.3, repair_p_value=0.001
)
DULL = CauseCandidate(
    "contrast",
    "too low in contrast",
    0.5,
    0.6,
    True,
    0.9,
    0.3,
    1.0,
    repair_effect=0.1,
    repair_p_value=0.01,
)
BLUR = CauseCandidate("blur", "blurred", 2.0, 0.1, False, 0.5, 0.4, 0.9)
FOG = replace(
    BLUR,
    remedy="fog",
    cause_words="foggy",
    attribute_distance=DULL.attribute_distance + 0.1,
    auc=0.9,
    attributed_share=0.7,
    attribution_lead=0.3,
)
BRIGHT = replace(
    BLUR,
    remedy="exposure",
    cause_words="too bright",
    auc=0.9,
    attributed_share=0.45,
    attribution_lead=-0.1,
    pair_share=0.8,
)


def _rank(*candidates: CauseCandidate, equivalent: str = "") -> list[CauseCandidate]:
    return name_causes(rank_candidates([*candidates], LEVEL), {equivalent}, LEVEL)


def _list_named(*candidates: CauseCandidate) -> list[str]:
    return [candidate.remedy for candidate in _rank(*candidates) if candidate.is_named]


def test_the_nearest_passing_candidate_is_named() -> None:
    assert _list_named(DULL, BLUR, DARK) == ["blur"]
    assert _list_named(DULL, replace(BLUR, auc=0.7), DARK) == ["exposure"]


def test_of_equally_near_candidates_the_least_distinguishable_comes_first() -> None:
    near = replace(DULL, attribute_distance=0.18, auc=0.95)
    dark = replace(DARK, auc=0.7)
    assert [candidate.remedy for candidate in _rank(near, dark)] == ["exposure", "contrast"]
    assert _list_named(near, dark) == ["exposure"], "the other is easily separated from the slice"


def test_of_indistinguishable_candidates_the_most_repairing_comes_first() -> None:
    weak = replace(
        DARK,
        remedy="gamma",
        cause_words="too dark in the mid-tones",
        attribute_distance=DARK.attribute_distance - 0.02,
        repair_effect=0.1,
    )
    assert _list_named(weak, DARK) == ["exposure", "gamma"]


@pytest.mark.parametrize(
    "candidate",
    [
        replace(DARK, reproduction_rate=0.01),
        replace(DARK, repair_p_value=0.2),
        replace(DARK, repair_effect=-0.3),
        replace(DARK, is_nearer=False),
        replace(BLUR, is_nearer=False),
        replace(BLUR, auc=0.8),
        replace(BLUR, confusion_agreement=0.1),
        replace(BLUR, auc=0.8, attributed_share=0.9, attribution_lead=-0.1),
        replace(BLUR, auc=0.8, attributed_share=0.4, attribution_lead=0.2),
        replace(DARK, repair_p_value=0.2, attributed_share=0.9, attribution_lead=-0.1),
        replace(
            DARK, repair_p_value=0.2, repair_effect=-0.1, attributed_share=0.9, attribution_lead=0.8
        ),
    ],
)
def test_a_candidate_without_sufficient_evidence_is_not_named(candidate: CauseCandidate) -> None:
    assert _list_named(candidate) == []


@pytest.mark.parametrize(
    "candidate",
    [
        replace(BLUR, remedy="occlusion", auc=0.7, attributed_share=0.9, attribution_lead=0.8),
        replace(DARK, repair_p_value=None, attributed_share=0.7, attribution_lead=0.2),
        replace(DARK, repair_p_value=0.2, attributed_share=0.7, attribution_lead=0.2),
    ],
    ids=["no inverse", "untested inverse", "insignificant repair"],
)
def test_attribution_names_a_cause_whose_inverse_is_not_confirmed(
    candidate: CauseCandidate,
) -> None:
    (ranked,) = _rank(candidate)
    assert ranked.is_named
    assert not ranked.is_inverse_confirmed


def test_a_repair_yields_to_the_cause_of_most_failures() -> None:
    dull = replace(DULL, attributed_share=0.2, attribution_lead=-0.6)
    assert [(c.remedy, c.is_named) for c in _rank(dull, FOG)] == [
        ("fog", True),
        ("contrast", False),
    ]
    assert _list_named(DULL, replace(FOG, attribution_lead=-0.1)) == ["contrast"]
    assert _list_named(DULL, replace(FOG, reproduction_rate=0.01)) == ["contrast"]


def test_a_cause_with_hardly_any_attributed_failure_is_not_named() -> None:
    negligible = replace(DULL, attributed_share=0.01, attribution_lead=-0.9)
    rejected = replace(FOG, remedy="noise", cause_words="noisy", confusion_agreement=0.1)
    assert _list_named(negligible, rejected) == []
    assert _list_named(negligible) == []


def test_a_pair_of_most_failures_is_named_together() -> None:
    light = replace(
        BRIGHT,
        remedy="gamma",
        cause_words="too light in the mid-tones",
        attribute_distance=0.5,
        attributed_share=0.35,
    )
    third = replace(DULL, attributed_share=0.15, attribution_lead=-0.5)
    ranked = _rank(third, light, BRIGHT)
    named = [candidate for candidate in ranked if candidate.is_named]
    assert [candidate.remedy for candidate in named] == ["exposure", "gamma"]
    assert not any(candidate.is_inverse_confirmed for candidate in named)
    refuted = replace(light, repair_effect=-0.1, repair_p_value=1.0)
    assert _list_named(refuted, BRIGHT) == ["exposure"]


@pytest.mark.parametrize(
    "candidate",
    [
        replace(BRIGHT, pair_share=0.45),
        replace(BRIGHT, attributed_share=0.05),
        replace(BRIGHT, confusion_agreement=0.1),
    ],
)
def test_a_member_of_a_weak_pair_is_not_named(candidate: CauseCandidate) -> None:
    assert _list_named(candidate) == []


def test_a_tied_candidate_is_named_too_unless_it_is_equivalent() -> None:
    near = replace(DULL, attribute_distance=0.22)
    assert _list_named(near, DARK) == ["exposure", "contrast"]
    best, other = _rank(near, DARK, equivalent="contrast")
    assert (best.remedy, best.is_named, best.is_equivalent) == ("exposure", True, False)
    assert (other.remedy, other.is_named, other.is_equivalent) == ("contrast", False, True)


@pytest.mark.parametrize(
    ("dark_share", "dull_share", "named_count"), [(0.6, 0.05, 1), (0.6, 0.2, 2), (0.4, 0.05, 2)]
)
def test_a_tied_candidate_of_hardly_any_failure_yields_to_a_majority(
    dark_share: float, dull_share: float, named_count: int
) -> None:
    dark = replace(DARK, attributed_share=dark_share, attribution_lead=-0.5)
    dull = replace(
        DULL, attribute_distance=0.22, attributed_share=dull_share, attribution_lead=-0.5
    )
    assert _list_named(dull, dark) == ["exposure", "contrast"][:named_count]


def test_nothing_to_rank_is_nothing_named() -> None:
    assert _rank() == []
