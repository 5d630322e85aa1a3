"""The sentences about a slice, composed from the columns of `explanations`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.attributes import list_attributes, load_attribute
from pipeline.domain.attribute_values import format_value, get_period
from pipeline.domain.group_source import CAMERA_COLUMN
from pipeline.domain.rules import Condition, Rule
from pipeline.domain.slice_setting import SettingFact, parse_setting
from pipeline.domain.slice_traits import parse_traits
from pipeline.domain.statuses import CauseConfidence, CauseRefusal
from pipeline.remedies import load_remedy, phrase_intervention
from pipeline.report.sentences.trait_sentences import describe_traits

HOURS_PER_DAY = 24
LIMIT_WORDS = {"<=": "at most", ">=": "at least"}
REFUSAL_WORDS = {
    CauseRefusal.NOT_REPRODUCED: "good images stay correct under it",
    CauseRefusal.REPAIRS_TOO_FEW: "its inverse corrects too few failures",
    CauseRefusal.OTHER_CONFUSIONS: "good images fail in another way",
    CauseRefusal.NOT_NEARER: "it brings good images no nearer to the slice",
    CauseRefusal.MAJORITY_NOT_SHOWN: "it was not shown to make most failures",
}


@dataclass(frozen=True)
class SliceText:
    """The text about a slice.

    Attributes:
        title: the cause and what the rule asks of an image.
        subject: the cause alone, or without one the rule in words.
        counts: how many are misclassified, as which class, and what repairs them.
        common_traits: what the failing images share; None unless the slice is confirmed and has
            no cause.
    """

    title: str
    subject: str
    counts: str
    common_traits: str | None = None

    @property
    def sentence(self) -> str:
        """Return subject and counts as one sentence."""
        return f"{self.subject}: {self.counts}"


def describe_slice(explanation: Mapping[Any, Any], *, should_name_class: bool = True) -> SliceText:
    """Return the text of a slice.

    Args:
        explanation: a row of `explanations`.
        should_name_class: whether the title names the class of the rule, if it has one.
    """
    rule = Rule.parse_json(explanation["frozen"])
    subject = _describe_subject(explanation, rule)
    if rule.label and should_name_class:
        subject += f" in class {rule.label}"
    subject = subject[0].upper() + subject[1:]
    is_cause_named = bool(json.loads(explanation["named_causes"]))
    title = ", ".join([subject, *_list_asked_conditions(rule, is_cause_named=is_cause_named)])
    setting = _describe_setting(parse_setting(explanation["setting"]))
    failures = f"{explanation['failures']:,}"
    if setting:
        counts = f"{int(explanation['setting_failures']):,} of {failures} failures were {setting}"
    else:
        counts = f"{failures} of {explanation['n']:,} images are misclassified"
    counts += f"{_describe_confusion(explanation)}{_describe_repair(explanation)}."
    common_traits = describe_traits(parse_traits(explanation["shared_traits"])) or None
    return SliceText(title, subject, counts, common_traits)


def describe_slice_counts(row: Mapping[str, Any]) -> str:
    """Return how many validation images of a slice are misclassified, as every output counts them.

    Args:
        row: a row of `explanations`, or a slice of `summary.json`.

    >>> describe_slice_counts({"failures": 62, "n": 121})
    '62 of its 121 images are misclassified'
    """
    verb = "is" if row["failures"] == 1 else "are"
    return f"{row['failures']:,} of its {row['n']:,} images {verb} misclassified"


def add_sentences(explanations: pd.DataFrame) -> pd.DataFrame:
    """Return `explanations` with the columns `words` (a sentence), `title` and `common`."""
    texts = [describe_slice(row) for row in explanations.to_dict("records")]
    columns = {
        "words": [text.sentence for text in texts],
        "title": [text.title for text in texts],
        "common": [text.common_traits for text in texts],
    }
    return explanations.assign(
        **{
            name: pd.Series(values, explanations.index, dtype="str")
            for name, values in columns.items()
        }
    )


def describe_applied_rules(explanation: Mapping[Any, Any]) -> str:
    """Return which rule admitted how many images of each half of the validation set.

    Args:
        explanation: a row of `explanations`.
    """
    parts = []
    for item in json.loads(explanation["applied_rules"]):
        parts.append(f"{item['rule']} ({item['count']:,} images of half {item['half'] + 1})")
    return "; ".join(parts)


def describe_admission(shares: Mapping[str, float | None]) -> str:
    """Return the shares of the images that a rule admits; those that are unknown are left out.

    Args:
        shares: by split, in [0, 1].

    >>> describe_admission({"train": 0.118, "val": 0.124, "test": None})
    '12.4 % of the validation images, 11.8 % of the training images'
    """
    nouns = {"val": "validation", "train": "training", "test": "test"}
    parts = []
    for split, noun in nouns.items():
        share = shares.get(split)
        if share is not None:
            parts.append(f"{100 * share:.1f} % of the {noun} images")
    return ", ".join(parts)


def describe_cause(remedy: str, strength: float) -> str:
    """Return the look of images under a transform, "too dark"; empty without its plug-in."""
    try:
        plugin = load_remedy(remedy)
    except (KeyError, ImportError):
        return ""
    is_below = plugin.NEUTRAL_STRENGTH is not None and strength < plugin.NEUTRAL_STRENGTH
    return str(plugin.CAUSE_WORDS[0 if is_below else 1])


def describe_condition(condition: Condition) -> str:
    """Return a condition in plain words: "dark" for a low luminance."""
    if condition.op == "near":
        return "similar in appearance"
    if condition.column in list_attributes() and condition.op in ("<=", ">="):
        low, high = load_attribute(condition.column).LOW_HIGH_WORDS
        return str(low if condition.op == "<=" else high)
    return condition.format_text()


def describe_cause_outcome(candidate: Mapping[Any, Any]) -> str:
    """Return whether a tested cause was named, and otherwise why not.

    Args:
        candidate: a row of `causes`.
    """
    if candidate["is_named"]:
        return "named"
    if candidate["is_equivalent"]:
        return "equivalent to the named one"
    if pd.isna(candidate["refusal"]):
        return "not the best cause"
    return REFUSAL_WORDS[CauseRefusal(candidate["refusal"])]


def _describe_subject(explanation: Mapping[Any, Any], rule: Rule) -> str:
    """Return the cause or, without one, the rule."""
    causes = json.loads(explanation["named_causes"])
    if not causes:
        text = _describe_rule(rule) or "these images"
        if rule.is_unmarked_class:
            return f"{text}, on which the model relies,"
        return f"{text} (cause unnamed)"
    looks = []
    for cause in causes:
        looks.append(describe_cause(cause["remedy"], cause["strength"]))
    text = " or ".join(dict.fromkeys(looks))
    if explanation["confidence"] == CauseConfidence.SUSPECTED:
        return f"suspected to be {text}"
    if explanation["confidence"] == CauseConfidence.INVERSE_CONFIRMED:
        return text
    return f"consistent with {text}"


def _describe_rule(rule: Rule) -> str:
    """Return the rule in words without its hours, which the title has."""
    words = []
    for condition in rule.conditions:
        if get_period(condition.column) != HOURS_PER_DAY:
            words.append(describe_condition(condition))
    return " and ".join(dict.fromkeys(words))


def _list_asked_conditions(rule: Rule, *, is_cause_named: bool) -> list[str]:
    """Return what the rule asks of an image, one text for each condition.

    Without a named cause, the subject says the rule already, but for its thresholds and hours.
    """
    texts = []
    for condition in rule.conditions:
        if get_period(condition.column) == HOURS_PER_DAY and condition.op == "between":
            start, end = (_format_clock(hour) for hour in condition.value)
            texts.append(f"taken from {start} to {end}")
        elif condition.op in LIMIT_WORDS:
            limit = format_value(condition.column, condition.value)
            texts.append(f"{condition.column} {LIMIT_WORDS[condition.op]} {limit}")
        elif is_cause_named and condition.column == CAMERA_COLUMN and condition.op == "is":
            texts.append(f"taken on {condition.column} {condition.value}")
        elif is_cause_named:
            texts.append(describe_condition(condition))
    return texts


def _format_clock(hour: float) -> str:
    """Return an hour as a clock shows it.

    >>> _format_clock(21.5)
    '21:30'
    """
    minutes = round(60 * hour) % (60 * HOURS_PER_DAY)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _describe_setting(facts: list[SettingFact]) -> str:
    """Return when and where the failing images were taken; the camera comes last."""
    if not facts:
        return ""
    hours, values, cameras = [], [], []
    for fact in facts:
        if fact.value is None:
            hours.append(f"from {fact.start:02d}:00 to {fact.end:02d}:00")
        elif fact.column == CAMERA_COLUMN:
            cameras.append(f"on {fact.column} {fact.value}")
        else:
            values.append(f"with {fact.column} {fact.value}")
    return " ".join(["taken", *hours, *values, *cameras])


def _describe_confusion(explanation: Mapping[Any, Any]) -> str:
    label = explanation["confused_label"]
    if pd.isna(label):
        return ""
    return f", mostly {label} predicted as {explanation['confused_prediction']}"


def _describe_repair(explanation: Mapping[Any, Any]) -> str:
    """Return what the inverse transform does to the failures."""
    share = explanation["repair_share"]
    if share is None or pd.isna(share):
        return ""
    inverse = phrase_intervention(explanation["cause"], explanation["repair_strength"])
    return f"; {inverse} repairs {100 * share:.0f} % of them"
