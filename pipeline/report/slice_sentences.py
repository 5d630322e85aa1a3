"""The sentences about a slice, composed of the columns of `explanations`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import plugins, remedies
from pipeline.domain.rules import Condition, Rule, get_period
from pipeline.domain.slice_setting import SettingFact, parse_setting
from pipeline.domain.statuses import CauseConfidence

CAMERA = "camera"  # the column that says which camera took an image
HOURS_PER_DAY = 24


@dataclass(frozen=True)
class SliceText:
    """What is said about a slice.

    Attributes:
        title: what its images are, with when and where they were taken.
        subject: the same without when and where.
        counts: how many fail, what the model takes them for, and what repairs them.
    """

    title: str
    subject: str
    counts: str

    @property
    def sentence(self) -> str:
        """Return all of it as one sentence."""
        return f"{self.subject}: {self.counts}"


def describe_slice(row: Mapping[Any, Any]) -> SliceText:
    """Return the text of a slice.

    Args:
        row: of `explanations`.
    """
    rule = Rule.parse_json(row["frozen"])
    subject = _describe_subject(row, rule) + (f" in class {rule.label}" if rule.label else "")
    subject = subject[0].upper() + subject[1:]
    setting = _describe_setting(parse_setting(row["setting"]))
    counts = f"{row['failures']:,} of {row['n']:,} images are misread"
    if setting:
        counts = f"{int(row['setting_failures']):,} of {row['failures']:,} failures were {setting}"
    title = f"{subject}, {setting}" if setting else subject
    return SliceText(title, subject, f"{counts}{_describe_confusion(row)}{_describe_repair(row)}.")


def add_sentences(explanations: pd.DataFrame) -> pd.DataFrame:
    """Return `explanations` with the columns `words`, a sentence for each slice, and `title`."""
    texts = [describe_slice(row) for row in explanations.to_dict("records")]
    words = pd.Series([text.sentence for text in texts], index=explanations.index, dtype="str")
    return explanations.assign(
        words=words, title=pd.Series([t.title for t in texts], explanations.index, dtype="str")
    )


def describe_cause(remedy: str, strength: float) -> str:
    """Return what images of a transform's strength are, such as "too dark"; empty where the plug-in is gone."""
    try:
        plugin = plugins.load_plugin("remedies", remedy)
    except (KeyError, ImportError):
        return ""
    is_below = plugin.NEUTRAL_STRENGTH is not None and strength < plugin.NEUTRAL_STRENGTH
    return str(plugin.CAUSE_WORDS[0 if is_below else 1])


def describe_condition(condition: Condition) -> str:
    """Return a condition in plain words: "dark" for a low luminance."""
    if condition.op == "near":
        return "alike in looks"
    if condition.column in plugins.list_plugins("attributes") and condition.op in ("<=", ">="):
        low, high = plugins.load_plugin("attributes", condition.column).LOW_HIGH_WORDS
        return str(low if condition.op == "<=" else high)
    return condition.format_text()


def _describe_subject(row: Mapping[Any, Any], rule: Rule) -> str:
    """Return the cause or, without one, the rule."""
    causes = json.loads(row["named_causes"])
    if not causes:
        plain = [
            describe_condition(c) for c in rule.conditions if get_period(c.column) != HOURS_PER_DAY
        ]
        text = " and ".join(dict.fromkeys(plain)) or "these images"
        return text + (
            ", on which the model leans," if rule.is_unmarked_class else " (cause unnamed)"
        )
    text = " or ".join(
        dict.fromkeys(describe_cause(cause["remedy"], cause["strength"]) for cause in causes)
    )
    if row["confidence"] == CauseConfidence.SUSPECTED:
        return f"suspected to be {text}"
    return (
        text
        if row["confidence"] == CauseConfidence.INVERSE_CONFIRMED
        else f"consistent with {text}"
    )


def _describe_setting(facts: list[SettingFact]) -> str:
    """Return when and where the failing images were taken; the camera comes last."""
    hours = [
        f"from {fact.start:02d}:00 to {fact.end:02d}:00" for fact in facts if fact.value is None
    ]
    values = [
        f"with {fact.column} {fact.value}"
        for fact in facts
        if fact.value is not None and fact.column != CAMERA
    ]
    camera = [f"on {fact.column} {fact.value}" for fact in facts if fact.column == CAMERA]
    return " ".join(["taken", *hours, *values, *camera]) if facts else ""


def _describe_confusion(row: Mapping[Any, Any]) -> str:
    label = row["confused_label"]
    return "" if pd.isna(label) else f", mostly {label} read as {row['confused_prediction']}"


def _describe_repair(row: Mapping[Any, Any]) -> str:
    """Return what the inverse transform does to the failures."""
    share = row["repair_share"]
    if share is None or pd.isna(share):
        return ""
    return f"; {remedies.phrase_intervention(row['cause'], row['repair_strength'])} repairs {100 * share:.0f} % of them"
