import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.domain.rules import Condition, Rule
from pipeline.domain.slice_setting import SettingFact, dump_setting, find_setting
from pipeline.domain.slice_traits import ConfusionTrait, dump_traits
from pipeline.domain.statuses import CauseConfidence, CauseRefusal
from pipeline.report.sentences.slice_sentences import (
    REFUSAL_WORDS,
    SliceText,
    add_sentences,
    describe_applied_rules,
    describe_cause,
    describe_cause_outcome,
    describe_slice,
)
from tests.helpers.explanations import EXPOSURE, make_text_columns
from tests.helpers.settings_of_slices import draw_setting

DARK = Rule((Condition("luminance", "<=", 40.0),))
REPAIR = {"repair_strength": 2.0, "repair_share": 0.741, "cause": "exposure"}


def _describe(
    failing: pd.DataFrame,
    outside: pd.DataFrame,
    causes: str = "[]",
    rule: Rule = DARK,
    **columns: Any,
) -> SliceText:
    facts, held = find_setting(failing, outside)
    counted = {
        "n": 90,
        "failures": len(failing),
        "setting": dump_setting(facts),
        "setting_failures": held.sum(),
    }
    return describe_slice(
        {"frozen": rule.dump_json(), **make_text_columns(causes, **(counted | columns))}
    )


def test_the_sentence_counts_the_failures_of_its_hours_and_camera() -> None:
    failing = draw_setting(1, "north", 71)
    failing["hour"] = np.where(np.arange(71) < 66, 21 + np.linspace(0, 7.9, 71), 12.0) % 24
    failing.loc[[0, 1, 2, 3], "camera"] = "south"
    text = _describe(failing, draw_setting(12, "south"), EXPOSURE, **REPAIR)
    assert text.sentence == (
        "Too dark: 62 of 71 failures were taken from 21:00 to 05:00 on camera north; "
        "twice the exposure repairs 74 % of them."
    )
    assert text.title == "Too dark, luminance at most 40"
    assert text.counts == text.sentence.removeprefix("Too dark: ")
    by_hour = _describe(failing, draw_setting(12, "north"), EXPOSURE, **REPAIR)
    assert by_hour.sentence.startswith(
        "Too dark: 66 of 71 failures were taken from 21:00 to 05:00; twice"
    )
    everywhere = draw_setting(1, "north").assign(hour=failing["hour"][:40])
    by_camera = _describe(failing, everywhere.assign(camera="south"), EXPOSURE, **REPAIR)
    assert by_camera.sentence.startswith(
        "Too dark: 67 of 71 failures were taken on camera north; twice"
    )
    assert _describe(failing, everywhere, EXPOSURE, **REPAIR) == SliceText(
        "Too dark, luminance at most 40",
        "Too dark",
        "71 of 90 images are misclassified; twice the exposure repairs 74 % of them.",
    )


def test_the_title_says_what_the_rule_asks() -> None:
    same = draw_setting(12, "north")
    night = Rule((Condition("hour", "between", (21.5, 5.0)), Condition("luminance", "<=", 31.27)))
    named = _describe(same, same, EXPOSURE, rule=night)
    assert named.title == "Too dark, taken from 21:30 to 05:00, luminance at most 31.27"
    assert _describe(same, same, rule=night).title == (
        "Dark (cause unnamed), taken from 21:30 to 05:00, luminance at most 31.27"
    )
    camera = Rule((Condition("camera", "is", "north"),), "stop")
    assert _describe(same, same, EXPOSURE, rule=camera).title == (
        "Too dark in class stop, taken on camera north"
    )


def test_other_columns_are_named_before_the_camera() -> None:
    failing, outside = (
        draw_setting(12, c).assign(weather=w) for c, w in (("north", "rain"), ("south", "sun"))
    )
    text = _describe(failing, outside).sentence
    assert (
        text
        == "Dark (cause unnamed): 40 of 40 failures were taken with weather rain on camera north."
    )


def test_values_that_look_like_a_sentence_change_nothing_in_the_title() -> None:
    facts = [SettingFact("camera", value="a: b; 3 of 9 images are misclassified")]
    row = make_text_columns(
        EXPOSURE, n=9, failures=3, setting=dump_setting(facts), setting_failures=2
    )
    rule = Rule((Condition("camera", "is", facts[0].value),))
    text = describe_slice({"frozen": rule.dump_json(), **row})
    assert text.title == "Too dark, taken on camera a: b; 3 of 9 images are misclassified"
    assert text.counts.startswith("2 of 3 failures were taken on camera a: b;")


def test_a_pair_of_classes_is_named_after_the_counts() -> None:
    pair = {"confused_label": "stop", "confused_prediction": "speed 30"}
    text = _describe(draw_setting(12, "north"), draw_setting(12, "north"), **pair)
    assert text.counts == "40 of 90 images are misclassified, mostly stop predicted as speed 30."


@pytest.mark.parametrize(
    ("confidence", "start"),
    [
        (CauseConfidence.INVERSE_CONFIRMED, "Too dark or blurred: "),
        (CauseConfidence.CONSISTENT, "Consistent with too dark or blurred: "),
        (CauseConfidence.SUSPECTED, "Suspected to be too dark or blurred: "),
    ],
)
def test_the_sentence_begins_with_the_evidence_for_the_cause(
    confidence: CauseConfidence, start: str
) -> None:
    causes = [
        ("exposure", 0.25),
        ("low_light", 0.2),
        ("blur", 2.0),
    ]  # two of them have the same description
    named = json.dumps([{"remedy": remedy, "strength": strength} for remedy, strength in causes])
    same = draw_setting(12, "north")
    assert _describe(same, same, named, confidence=confidence).sentence.startswith(start)


def test_without_a_cause_the_sentence_describes_the_rule() -> None:
    same = draw_setting(12, "north")
    assert _describe(same, same).sentence.startswith("Dark (cause unnamed): 40 of 90")
    similar = Rule((Condition("i1", "near", 0.2), Condition("hour", "between", (20.0, 5.0))))
    assert _describe(same, same, rule=similar).sentence.startswith(
        "Similar in appearance (cause unnamed): "
    )
    assert (
        _describe(same, same, rule=Rule((), "stop")).subject
        == "These images (cause unnamed) in class stop"
    )


def test_a_slice_without_its_mark_names_the_mark() -> None:
    rule = Rule((Condition("mark of none", "is", "False"),), "none")
    text = _describe(
        draw_setting(12, "north", 30), draw_setting(12, "north"), rule=rule, n=40
    ).sentence
    assert text == (
        "Without the mark of none, on which the model relies, in class none: "
        "30 of 40 images are misclassified."
    )


def test_a_cause_is_described_by_the_side_of_neutral() -> None:
    assert describe_cause("exposure", 0.5) == "too dark"
    assert describe_cause("exposure", 2.0) == "too bright"
    assert describe_cause("grayscale", 1.0) == "without color"
    assert describe_cause("gone_away", 1.0) == ""


def test_an_empty_table_gets_its_columns_too() -> None:
    row = {"frozen": DARK.dump_json(), "n": 9, "failures": 3, **make_text_columns(EXPOSURE)}
    table = add_sentences(pd.DataFrame([row]))
    assert table["words"].tolist() == ["Too dark: 3 of 9 images are misclassified."]
    assert table["title"].tolist() == ["Too dark, luminance at most 40"]
    assert {"words", "title"} <= set(add_sentences(table.iloc[:0]))


def test_applied_rules_are_listed_with_half_and_count() -> None:
    rules = [
        {"rule": "luminance <= 40", "half": 0, "count": 1_200},
        {"rule": "luminance <= 60", "half": 1, "count": 9},
    ]
    first, second = describe_applied_rules({"applied_rules": json.dumps(rules)}).split("; ")
    assert first.startswith("luminance <= 40")
    assert "1,200" in first
    assert "half 1" in first
    assert "half 2" in second


def test_shared_traits_are_part_of_the_text() -> None:
    traits = dump_traits([ConfusionTrait("badge", "none", 7, 9)])
    row = {"frozen": DARK.dump_json(), "n": 9, "failures": 3, **make_text_columns()}
    assert describe_slice(row).common_traits is None
    text = describe_slice(row | {"shared_traits": traits}).common_traits
    assert text is not None
    assert "badge predicted as none" in text


def test_every_tested_cause_has_its_outcome() -> None:
    row = {"is_named": False, "is_equivalent": False, "refusal": None}
    assert describe_cause_outcome(row | {"is_named": True}) == "named"
    assert describe_cause_outcome(row | {"is_equivalent": True}) == "equivalent to the named one"
    assert describe_cause_outcome(row) == "not the best cause"
    few = describe_cause_outcome(row | {"refusal": "repairs too few"})
    assert few == "its inverse corrects too few failures"
    assert set(REFUSAL_WORDS) == set(CauseRefusal)
