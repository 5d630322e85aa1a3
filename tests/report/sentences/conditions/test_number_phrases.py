"""Numbers in words: pipeline/report/sentences/conditions/number_phrases.py."""

from __future__ import annotations

from pipeline.report.sentences.conditions.number_phrases import format_gain, format_probability


def test_unknown_gains_are_said_to_be_unknown() -> None:
    assert format_gain(None) == "unknown"
    assert format_gain(-0.012) == "-1.2 points"


def test_probabilities_are_whole_percents() -> None:
    assert format_probability(0.5) == "50 %"
