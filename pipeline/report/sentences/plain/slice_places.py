"""Where a slice is, in words for everybody: "at night (too dark)"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.attributes import list_attributes
from pipeline.domain.attribute_values import get_period
from pipeline.domain.group_source import CAMERA_COLUMN
from pipeline.domain.rules import Condition, Rule
from pipeline.domain.slice_setting import SettingFact, parse_setting
from pipeline.report.sentences.slice_sentences import describe_cause, describe_condition

_PERIODS = (  # first hour at the earliest, last hour at the latest, name; the night passes midnight
    (20, 31, "at night"),
    (5, 12, "in the morning"),
    (12, 18, "in the afternoon"),
    (16, 24, "in the evening"),
)
HOURS_PER_DAY = 24
MAX_VALUE_LETTERS = 40  # of a metadata value: the sentence stays one


def shorten(text: str, max_letters: int) -> str:
    """Return a text cut off with an ellipsis beyond so many letters.

    >>> shorten("gate-2", 40), shorten("north entrance", 6)
    ('gate-2', 'north…')
    """
    return text if len(text) <= max_letters else f"{text[: max_letters - 1]}…"


def describe_place(explanation: Mapping[Any, Any], *, should_name_class: bool = True) -> str:
    """Return where a slice is, as an adverbial that may begin a sentence.

    Args:
        explanation: a row of `explanations`.
        should_name_class: whether to name the class of the rule, if it has one.
    """
    rule = Rule.parse_json(explanation["frozen"])
    look = _describe_look(explanation, rule)
    facts = [_describe_fact(fact) for fact in parse_setting(explanation["setting"])]
    text = f"{', '.join(facts)} ({look.removeprefix('are ')})" if facts else f"where images {look}"
    return f"{text}, class {rule.label}" if rule.label and should_name_class else text


def _describe_look(explanation: Mapping[Any, Any], rule: Rule) -> str:
    """Return what the images are, by their named causes or else by the rule."""
    looks = []
    for cause in json.loads(explanation["named_causes"]):
        looks.append(describe_cause(cause["remedy"], cause["strength"]))
    if any(looks):
        return f"are {' or '.join(filter(None, dict.fromkeys(looks)))}"
    if rule.is_unmarked_class:
        return "lack the mark of their class"
    words = list(dict.fromkeys(map(_describe_condition, rule.conditions)))
    return " and ".join(filter(None, words)) or "belong to this slice"


def _describe_condition(condition: Condition) -> str:
    """Return what an image is or has; empty for the hour, which the setting describes."""
    if get_period(condition.column) == HOURS_PER_DAY:
        return ""
    text = describe_condition(condition)
    if condition.op == "near":
        return "look alike"
    if condition.op == "is":
        return f"have {condition.column} {condition.value}"
    is_measure = condition.column in list_attributes() and condition.op in ("<=", ">=")
    return f"{'are' if is_measure else 'have'} {text}"


def _describe_fact(fact: SettingFact) -> str:
    if fact.value is not None:
        value = shorten(fact.value, MAX_VALUE_LETTERS)
        return f"{'on' if fact.column == CAMERA_COLUMN else 'with'} {fact.column} {value}"
    return name_period(fact.start or 0, fact.end or 0)


def name_period(start: int, end: int) -> str:
    """Return the name of a period of the day, else its hours.

    Args:
        start: its first hour.
        end: the hour at which it ends.

    >>> name_period(21, 5), name_period(2, 6), name_period(7, 11), name_period(9, 15)
    ('at night', 'at night', 'in the morning', '09:00 to 15:00')
    """
    for earliest, latest, name in _PERIODS:
        for first in (start, start + HOURS_PER_DAY):
            last = first + (end - start) % HOURS_PER_DAY
            if earliest <= first and last <= latest:
                return name
    return f"{start:02d}:00 to {end:02d}:00"
