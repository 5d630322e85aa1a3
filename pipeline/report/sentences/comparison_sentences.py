"""Sentences about the comparison: its tests, and why the test set was opened or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.domain.statuses import OpeningReason, PowerQuestion
from pipeline.storage.test_ledger import MAX_OPENINGS

_OPENING_REASONS = {
    OpeningReason.NO_FAILURES: "the model makes no mistake on validation",
    OpeningReason.NO_SLICE: "no slice was confirmed",
    OpeningReason.NO_PLAN: "no confirmed slice has a remedy for training images",
    OpeningReason.NO_CANDIDATES: "there is no targeted and control model to compare",
    OpeningReason.NO_TEST: "there is no labeled image in test",
    OpeningReason.NO_GAIN_ON_VAL: (
        "it was not used, since the remedy showed no gain on validation over the control and the "
        "model before"
    ),
    OpeningReason.HARM_ON_VAL: "it was not used, since some images may be worse off on validation",
    OpeningReason.CANNOT_DECIDE: (
        "it was not used: validation has passed, but the test holds too few groups of these slices "
        "to decide"
    ),
    OpeningReason.USED_UP: (
        f"this test set has been opened {MAX_OPENINGS} times; replace it by newly arrived groups"
    ),
    OpeningReason.VAL_PASSED: "validation passed",
    OpeningReason.OPENED_BEFORE: "opened by this run before",
}


@dataclass(frozen=True)
class SubsetNames:
    """Names of slices and splits in sentences.

    Attributes:
        slice_titles: titles that replace the names of slices, in quotation marks.
        split_titles: titles that replace the names of splits.
        condition_titles: titles of slices without the class of their rule.
    """

    slice_titles: Mapping[str, str] = field(default_factory=dict)
    split_titles: Mapping[str, str] = field(default_factory=dict)
    condition_titles: Mapping[str, str] = field(default_factory=dict)

    def name_slice(self, slice_name: str) -> str:
        """Return the quoted title of a slice, without one its name."""
        title = self.slice_titles.get(slice_name)
        return f"“{title}”" if title else slice_name

    def name_condition(self, slice_name: str) -> str:
        """Return the quoted title of a slice without its class, or else its name."""
        title = self.condition_titles.get(slice_name)
        return f"“{title}”" if title else self.name_slice(slice_name)

    def name_split(self, split: str) -> str:
        """Return the title of a split, without one its name."""
        return self.split_titles.get(split, split)


REFERENCE_NAMES = {
    "champion": "the model in force",
    "before": "the model before",
    "control": "the control",
}
"""What the candidate is compared with, by arm."""

PLAIN_NAMES = SubsetNames()
"""Names as the artifacts have them."""


def describe_power_question(row: Mapping[str, Any], names: SubsetNames = PLAIN_NAMES) -> str:
    """Return the question of a test, such as "gain of s1".

    Args:
        row: a row of `power` in the artifact `comparison`.
        names: names of slices and splits.
    """
    match PowerQuestion(row["question"]):
        case PowerQuestion.OVERALL_NOT_WORSE:
            return "overall not worse"
        case PowerQuestion.PLANNED_GAIN:
            return "gain of the planned slices"
        case PowerQuestion.SLICE_GAIN:
            return f"gain of {names.name_slice(row['slice'])}"


MANY_TIMES = 10
"""Times the groups at hand from which a number of groups is no realistic plan."""
FEW_GROUPS = 30
"""Groups that a team can collect whatever it has: a slice of which the test holds nothing."""


def describe_required_groups(groups: int, groups_needed: int | None) -> str:
    """Return how many groups would decide a test, and what that number means.

    Args:
        groups: groups at hand.
        groups_needed: groups that would decide; None if no number would.

    >>> describe_required_groups(20, 31)
    'about 31 groups would decide it, and 20 are at hand'
    """
    if groups_needed is None:
        return (
            "more images would not decide it: no gain was seen, or two trainings of one recipe "
            "differ too much"
        )
    if groups_needed > MANY_TIMES * max(groups, FEW_GROUPS):
        times = round(groups_needed / max(groups, 1))
        return (
            f"the difference seen is too small to decide with such a test: it would take about "
            f"{groups_needed:,} groups, {times:,} times the {groups:,} at hand"
        )
    if not groups:
        return f"about {groups_needed:,} groups would decide it"
    return f"about {groups_needed:,} groups would decide it, and {groups:,} are at hand"


def describe_opening_reason(reason: str) -> str:
    """Return why the test set was opened or stays sealed, in words."""
    return _OPENING_REASONS[OpeningReason(reason)]
