"""Sentences about the gate: its headline, its conditions and the limits of its verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.domain.statuses import ComparisonOutcome, GateCondition, GateLimit
from pipeline.report.sentences.comparison_sentences import (
    PLAIN_NAMES,
    SubsetNames,
    describe_opening_reason,
    describe_power_question,
)

PROMOTED = "promoted"
NOT_PROMOTED = "not promoted"
NOTHING_TO_PROMOTE = "nothing to promote"

_OUTCOME_HEADLINES = {
    ComparisonOutcome.NO_FAILURES: "the model makes no mistake on the validation images",
    ComparisonOutcome.NO_SLICE: "no slice was confirmed",
    ComparisonOutcome.NO_PLAN: "no confirmed slice has a remedy for training images",
    ComparisonOutcome.NO_CANDIDATES: "there is no targeted and control model to compare",
    ComparisonOutcome.NO_TEST: "there is no test image to prove it on",
    ComparisonOutcome.REFUSED_ON_VAL: (
        "the remedy did not prove itself on the validation images; the test stays sealed"
    ),
    ComparisonOutcome.USED_UP: (
        "this test set has been opened too often; replace it by newly arrived groups"
    ),
}
_OUTCOMES_WITHOUT_CANDIDATE = {
    ComparisonOutcome.NO_FAILURES,
    ComparisonOutcome.NO_SLICE,
    ComparisonOutcome.NO_PLAN,
    ComparisonOutcome.NO_CANDIDATES,
}


@dataclass(frozen=True)
class ConditionText:
    """A condition of the gate in words.

    Attributes:
        name: the condition.
        reason: the numbers behind it.
        evidence_link: section of the report with the evidence, such as "#failure_slices".
    """

    name: str
    reason: str
    evidence_link: str


@dataclass(frozen=True)
class Headline:
    """The verdict in one line.

    Attributes:
        state: promoted, not promoted, or nothing to promote.
        detail: the reason.
    """

    state: str
    detail: str

    @property
    def text(self) -> str:
        """Return state and detail in one line."""
        return f"{self.state}: {self.detail}"


def name_verdict_state(outcome: str | None, is_promoted: bool) -> str:
    """Return promoted, not promoted, or nothing to promote.

    Args:
        outcome: how far the comparison came, a `ComparisonOutcome`.
        is_promoted: whether the candidate was promoted.
    """
    if is_promoted:
        return PROMOTED
    return NOTHING_TO_PROMOTE if outcome in _OUTCOMES_WITHOUT_CANDIDATE else NOT_PROMOTED


def split_headline(text: str, outcome: str | None, is_promoted: bool) -> Headline:
    """Return the state and the detail of a headline, as a summary holds it.

    Args:
        text: the headline.
        outcome: how far the comparison came, a `ComparisonOutcome`.
        is_promoted: whether the candidate was promoted.

    Examples:
        >>> split_headline("not promoted: no gain: s1", "refused on val", False).detail
        'no gain: s1'
    """
    state = name_verdict_state(outcome, is_promoted)
    return Headline(state, text.removeprefix(f"{state}: "))


def compose_headline(verdict: Mapping[str, Any], names: SubsetNames = PLAIN_NAMES) -> Headline:
    """Return the verdict in one line.

    Args:
        verdict: the artifact of that name.
        names: names of slices and splits.
    """
    is_promoted = verdict["promoted"]
    state = name_verdict_state(verdict["outcome"], is_promoted)
    if verdict["outcome"] != ComparisonOutcome.TESTED:
        return Headline(state, _OUTCOME_HEADLINES[ComparisonOutcome(verdict["outcome"])])
    gain = verdict["gain"]
    unjudged = "" if gain["seeds_judged"] else "; seeds were not judged (one seed)"
    detail = (
        f"{_format_gain(gain['mean'])} over the control on the sealed test's images "
        "of the slices with a remedy"
    )
    if is_promoted:
        return Headline(state, f"{detail}, at least {_format_gain(gain['bound'])}{unjudged}")
    failed = []
    for condition in verdict["conditions"]:
        if not condition["passed"]:
            failed.append(f"“{describe_condition(condition, names).name}”")
    noun = "this condition" if len(failed) == 1 else "these conditions"
    return Headline(state, f"{detail}, but {noun} failed: {', '.join(failed)}{unjudged}")


def describe_condition(
    condition: Mapping[str, Any], names: SubsetNames = PLAIN_NAMES
) -> ConditionText:
    """Return a condition of the gate in words.

    Args:
        condition: a record of `pipeline.domain.gate_conditions.evaluate_gate`.
        names: names of slices and splits.
    """
    kind = GateCondition(condition["condition"])
    split = names.name_split(condition["split"] or "")
    slice_name = names.name_slice(condition["slice"] or "")
    titles = {
        GateCondition.PLANNED_SLICE: "a slice with a remedy",
        GateCondition.SLICE_GAIN: f"{slice_name} gained on {split}",
        GateCondition.PLANNED_GAIN: f"the slices with a remedy gained on {split}",
        GateCondition.GENERIC_NOT_BETTER: f"generic augmentation is not better on {split}",
        GateCondition.OVERALL_NOT_WORSE: f"not worse overall on {split}",
        GateCondition.NO_CLASS_WORSE: f"no class worse on {split}",
        GateCondition.NO_HARM_OUTSIDE: f"no harm shown to others on {split}",
        GateCondition.TEST_OPENED: "test opened",
    }
    describe_facts, link = _CONDITION_FACTS[kind]
    return ConditionText(titles[kind], describe_facts(condition["facts"]), link)


def describe_limit(limit: Mapping[str, Any], names: SubsetNames = PLAIN_NAMES) -> str:
    """Return in one sentence what a verdict does not show.

    Args:
        limit: a record of `pipeline.domain.gate_conditions.list_limits`.
        names: names of slices and splits.
    """
    match GateLimit(limit["limit"]):
        case GateLimit.SINGLE_SEED:
            return "One seed: another run of the same training might differ; seeds were not judged."
        case GateLimit.TOO_FEW_GROUPS:
            question = describe_power_question(limit, names)
            return (
                f"{question[0].upper()}{question[1:]} on {names.name_split(limit['split'])}: "
                f"{limit['groups']:,} groups are at hand; "
                f"about {limit['groups_needed']:,} would decide it."
            )
        case GateLimit.NO_GENERIC_ARM:
            return (
                "Generic augmentation was not trained (retrain.generic): "
                "whether it would do as well was not judged."
            )
        case GateLimit.GENERIC_NOT_BEATEN:
            return (
                f"On {names.name_split(limit['split'])} the remedy was not shown to be better than "
                f"generic augmentation of the same budget: {_format_gain(limit['mean'])}, "
                f"at least {_format_gain(limit['bound'])}."
            )
        case GateLimit.WEIGHTED_ERRORS:
            return (
                "Errors are weighed by evaluate.costs: "
                "gains and margins are in points of the worst error."
            )
        case GateLimit.OTHER_CHAMPION:
            return (
                "The candidate was compared with its own control, "
                f"not with the champion of run {limit['run_id']}."
            )


def _describe_planned_slices(facts: Mapping[str, Any]) -> str:
    return (
        f"{facts['confirmed']} of {facts['slices']} proposed groups were confirmed, "
        f"{facts['planned']} with a remedy for training"
    )


def _describe_gain(facts: Mapping[str, Any]) -> str:
    needed = facts["groups_needed"]
    hint = f"; about {needed} groups would decide it" if needed is not None else ""
    return (
        f"{_format_gain(facts['mean'])} over the control on {facts['n']} images "
        f"of {facts['groups']} groups, at least {_format_gain(facts['bound'])}{hint}"
    )


def _describe_generic_difference(facts: Mapping[str, Any]) -> str:
    return (
        f"{_format_gain(facts['mean'])} over TrivialAugment of the same budget "
        f"on {facts['n']} images, {_format_range(facts)}"
    )


def _describe_outside(facts: Mapping[str, Any]) -> str:
    return f"{_format_gain(facts['mean'])} on the {facts['n']} other images, {_format_range(facts)}"


def _format_gain(share: float | None) -> str:
    """Return a difference of shares in percentage points, with an ASCII minus sign."""
    return "unknown" if share is None else f"{100 * share:+.1f} points"


def _format_range(facts: Mapping[str, Any]) -> str:
    return f"between {_format_gain(facts['low'])} and {_format_gain(facts['high'])}"


def _describe_overall(facts: Mapping[str, Any]) -> str:
    return (
        f"{_format_gain(facts['mean'])} overall, at least {_format_gain(facts['bound'])}; "
        f"{_format_gain(-facts['margin'])} is allowed"
    )


def _describe_classes(facts: Mapping[str, Any]) -> str:
    parts = [f"harm was shown for {', '.join(facts['harmed']) or 'no class'}"]
    if facts["unjudged"]:
        parts.append(f"{facts['unjudged']} of {facts['classes']} cannot be judged alone")
    if facts["is_pooled_judged"]:
        parts.append(
            f"the small classes together changed by at least {_format_gain(facts['pooled_bound'])}"
        )
        parts.append(f"{_format_gain(-facts['margin'])} is allowed")
    return "; ".join(parts)


def _describe_opening(facts: Mapping[str, Any]) -> str:
    if not facts["opened"]:
        return describe_opening_reason(facts["reason"])
    return (
        f"opened for the {facts['ordinal']} time by any run; "
        f"it may spend alpha = {facts['alpha']:.3g}"
    )


_CONDITION_FACTS: dict[GateCondition, tuple[Callable[[Mapping[str, Any]], str], str]] = {
    GateCondition.PLANNED_SLICE: (_describe_planned_slices, "#failure_slices"),
    GateCondition.SLICE_GAIN: (_describe_gain, "#failure_slices"),
    GateCondition.PLANNED_GAIN: (_describe_gain, "#accuracy_change"),
    GateCondition.GENERIC_NOT_BETTER: (_describe_generic_difference, "#accuracy_change"),
    GateCondition.OVERALL_NOT_WORSE: (_describe_overall, "#accuracy_change"),
    GateCondition.NO_CLASS_WORSE: (_describe_classes, "#per_class_metrics"),
    GateCondition.NO_HARM_OUTSIDE: (_describe_outside, "#accuracy_change"),
    GateCondition.TEST_OPENED: (_describe_opening, "#run_details"),
}
