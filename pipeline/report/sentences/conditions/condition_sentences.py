"""Sentences about the numbers behind each condition of the gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.domain.statuses import ChampionStatus, GateCondition
from pipeline.report.sentences.comparison_sentences import (
    PLAIN_NAMES,
    REFERENCE_NAMES,
    SubsetNames,
    describe_opening_reason,
    describe_required_groups,
)
from pipeline.report.sentences.conditions.arrival_sentences import (
    describe_arrived_classes,
    describe_arrived_gain,
    describe_arrived_safety,
)
from pipeline.report.sentences.conditions.number_phrases import format_alpha, format_least_gain
from pipeline.report.sentences.conditions.number_phrases import format_gain as format_gain
from pipeline.report.sentences.conditions.number_phrases import (
    format_probability as format_probability,
)

Facts = Mapping[str, Any]
CHAMPION_REASONS = {
    ChampionStatus.NONE: "there is none",
    ChampionStatus.IS_BASELINE: "it is the model before",
    ChampionStatus.COMPARED: "compared on the same images",
    ChampionStatus.OTHER_CLASSES: "it was trained for other classes",
    ChampionStatus.OTHER_SIZE: "it reads larger images than this run keeps (ingest.side)",
    ChampionStatus.MISSING: "its folder is gone or cannot be read",
    ChampionStatus.REPLACED: "it was promoted after this run began",
}


def _describe_planned_slices(facts: Facts, names: SubsetNames) -> str:
    return (
        f"{facts['confirmed']} of {facts['slices']} candidate slices were confirmed, and "
        f"{facts['planned']} got a remedy for training"
    )


def _describe_champion(facts: Facts, names: SubsetNames) -> str:
    text = f"run {facts['run_id']}: {CHAMPION_REASONS[ChampionStatus(facts['status'])]}"
    if facts["status"] == ChampionStatus.COMPARED:
        return text
    accepted = "promote.replace_unjudged accepts that"
    return (
        f"{text}; {accepted if facts['is_accepted'] else 'promote.replace_unjudged would accept'}"
    )


def _describe_gain(facts: Facts, names: SubsetNames) -> str:
    text = (
        f"{format_gain(facts['mean'])} over {REFERENCE_NAMES[facts['reference']]} on "
        f"{facts['n']} images of {facts['groups']} groups, each class counted alike, "
        f"{format_least_gain(facts['bound'])}"
    )
    if facts["reference"] != "control":
        text += f"; {format_gain(facts['shipped'])} by the model that would ship"
    elif facts["arm_in_force"] != "control":
        in_force = REFERENCE_NAMES[facts["arm_in_force"]]
        text += f"; {format_gain(facts['shipped_in_force'])} over {in_force}"
    if facts["groups_needed"] is not None:
        text += f"; {describe_required_groups(facts['groups'], facts['groups_needed'])}"
    return text


def _describe_generic_difference(facts: Facts, names: SubsetNames) -> str:
    return (
        f"the remedy is {format_gain(facts['mean'])} from generic augmentation (TrivialAugment) of "
        f"the same budget on {facts['n']} images, between {format_gain(facts['low'])} and "
        f"{format_gain(facts['high'])}"
    )


def _describe_overall(facts: Facts, names: SubsetNames) -> str:
    parts = []
    for change in facts["changes"]:
        parts.append(
            f"{format_gain(change['mean'])} against {REFERENCE_NAMES[change['reference']]}, "
            f"{format_least_gain(change['bound'])}"
        )
    limit = f"no loss of more than {100 * facts['margin']:.1f} points may show"
    if facts["proved_against"]:
        in_force = REFERENCE_NAMES[facts["proved_against"]]
        limit += f", and against {in_force} it must be excluded"
    return f"{'; '.join(parts)}; {limit}"


def _describe_parts(facts: Facts, names: SubsetNames) -> str:
    """Return the parts that lose, or the one most likely to."""
    if not facts["worst"]:
        return "there are none"
    shown: dict[tuple[str | None, str | None], dict[str, Any]] = {}
    for part in facts["harmed"] or [facts["worst"]]:
        shown.setdefault((part["slice"], part["class"]), part)
    parts = [_describe_part(part, facts["margin"], names) for part in shown.values()]
    return "; ".join(parts)


def _describe_part(part: Mapping[str, Any], margin: float, names: SubsetNames) -> str:
    return (
        f"{name_part(part, names)}: {100 * part['reference']:.0f} to "
        f"{100 * part['treated']:.0f} % correct against "
        f"{REFERENCE_NAMES[part['reference_arm']]} ({part['n']:,} images of "
        f"{part['groups']:,} groups); the chance that it loses more than "
        f"{100 * margin:.0f} points is {format_probability(part['loss_probability'])}"
    )


def name_part(part: Mapping[str, Any], names: SubsetNames = PLAIN_NAMES) -> str:
    """Return the name of a part whose change was judged: a class, a slice, a class of a slice."""
    if part["slice"] is None:
        return part["class"] or "all other images"
    if part["class"]:
        return f"{part['class']} in {names.name_condition(part['slice'])}"
    return names.name_slice(part["slice"])


def _describe_opening(facts: Facts, names: SubsetNames) -> str:
    if not facts["opened"]:
        return describe_opening_reason(facts["reason"])
    return (
        f"these test images were used for the {facts['ordinal']} time by any run; "
        f"chance alone may show a gain in {format_alpha(facts['alpha'])} of such cases"
    )


def _ignore_names(describe_facts: Callable[[Facts], str]) -> Callable[[Facts, SubsetNames], str]:
    """Return a sentence maker that names no slice."""
    return lambda facts, names: describe_facts(facts)


CONDITION_FACTS: dict[GateCondition, tuple[Callable[[Facts, SubsetNames], str], str]] = {
    GateCondition.PLANNED_SLICE: (_describe_planned_slices, "#failure_slices"),
    GateCondition.CHAMPION_COMPARED: (_describe_champion, "#run_details"),
    GateCondition.SLICE_GAIN: (_describe_gain, "#failure_slices"),
    GateCondition.PLANNED_GAIN: (_describe_gain, "#accuracy_change"),
    GateCondition.GAIN_IN_FORCE: (_describe_gain, "#accuracy_change"),
    GateCondition.GENERIC_NOT_BETTER: (_describe_generic_difference, "#accuracy_change"),
    GateCondition.OVERALL_NOT_WORSE: (_describe_overall, "#accuracy_change"),
    GateCondition.NO_CLASS_WORSE: (_describe_parts, "#per_class_metrics"),
    GateCondition.NO_SLICE_WORSE: (_describe_parts, "#accuracy_change"),
    GateCondition.NO_HARM_OUTSIDE: (_describe_parts, "#accuracy_change"),
    GateCondition.TEST_OPENED: (_describe_opening, "#run_details"),
    GateCondition.ARRIVALS_GAIN: (_ignore_names(describe_arrived_gain), "#run_details"),
    GateCondition.ARRIVALS_NOT_WORSE: (_ignore_names(describe_arrived_safety), "#run_details"),
    GateCondition.ARRIVALS_NO_HARM: (_ignore_names(describe_arrived_classes), "#run_details"),
}
"""By condition, the sentence about its numbers and the section with the evidence."""
