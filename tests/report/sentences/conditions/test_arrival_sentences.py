"""Words about arrived images: pipeline/report/sentences/conditions/arrival_sentences.py."""

from __future__ import annotations

from typing import Any

from pipeline.report.sentences.conditions.arrival_sentences import (
    describe_arrivals_verdict,
    describe_arrived_classes,
    describe_arrived_gain,
    describe_arrived_safety,
)


def _make_facts(**changes: Any) -> dict[str, Any]:
    facts = {"groups": 900, "inside_groups": 300, "labels": 450, "needed": 40.0, "gain": 0.081}
    return facts | {"evidence": 57.0, "margin": 0.01} | changes


def _make_part(**changes: Any) -> dict[str, Any]:
    part = {"class": "badge", "is_inside": True, "groups": 12, "change": -0.08}
    return part | {"loss_probability": 0.93} | changes


def test_gain_and_safety_state_what_would_be_enough() -> None:
    gain, safety = describe_arrived_gain(_make_facts()), describe_arrived_safety(_make_facts())
    assert gain.startswith("+8.1 points over the model in force on 300 new groups")
    assert "the evidence is 57, and 40 shows it" in gain
    assert "1 point or more over all images, on 900 new groups" in safety


def test_without_an_image_of_the_slices_there_is_no_gain() -> None:
    text = describe_arrived_gain(_make_facts(gain=None, inside_groups=0))
    assert text.startswith("no image of the slices with a remedy")


def test_classes_that_lose_are_named_and_else_the_likeliest() -> None:
    part, other = _make_part(), _make_part(**{"class": "none"}, loss_probability=0.2)
    facts = {"harmed": [part], "worst": part, "margin": 0.03}
    assert describe_arrived_classes(facts).startswith("badge in the slices with a remedy: -8.0")
    calm = {"harmed": [], "worst": other, "margin": 0.03}
    assert describe_arrived_classes(calm).endswith("more than 3 points is 20 %")
    assert "no label" in describe_arrived_classes({"harmed": [], "worst": None, "margin": 0.03})


def test_the_verdict_tells_whether_it_is_decided() -> None:
    facts = _make_facts(harmed=[])
    assert "not decide it yet" in describe_arrivals_verdict(facts, is_promoted=False)
    promoted = describe_arrivals_verdict(facts, is_promoted=True)
    assert promoted.startswith("of 100 images of the slices with a remedy that arrived since, 8.1")
    assert "not decide" not in promoted
    harmed = describe_arrivals_verdict(_make_facts(harmed=[_make_part()]), is_promoted=False)
    assert harmed.endswith("badge is probably worse off")
    unknown = describe_arrivals_verdict(_make_facts(gain=None), is_promoted=False)
    assert unknown.startswith("no image")
