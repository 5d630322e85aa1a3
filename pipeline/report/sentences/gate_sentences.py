"""Sentences about the gate: its headline, its conditions and the limits of its verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.domain.gate_conditions import ARRIVALS_OUTCOMES
from pipeline.domain.statuses import ChampionStatus, ComparisonOutcome, GateCondition, VerdictCaveat
from pipeline.report.sentences.comparison_sentences import (
    MANY_TIMES,
    PLAIN_NAMES,
    REFERENCE_NAMES,
    SubsetNames,
    describe_power_question,
    describe_required_groups,
)
from pipeline.report.sentences.conditions.arrival_sentences import describe_arrivals_verdict
from pipeline.report.sentences.conditions.condition_sentences import (
    CHAMPION_REASONS,
    CONDITION_FACTS,
    name_part,
)
from pipeline.report.sentences.conditions.number_phrases import (
    count_gained_images,
    format_gain,
    format_least_gain,
)

PROMOTED = "promoted"
NOT_PROMOTED = "not promoted"
NOTHING_TO_PROMOTE = "nothing to promote"
PROMISING = "promising on validation"

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
_GAIN_CONDITIONS = {GateCondition.PLANNED_GAIN, GateCondition.GAIN_IN_FORCE}
_PART_CONDITIONS = {
    GateCondition.NO_CLASS_WORSE,
    GateCondition.NO_SLICE_WORSE,
    GateCondition.NO_HARM_OUTSIDE,
}
_HARM_CONDITIONS = {GateCondition.OVERALL_NOT_WORSE, *_PART_CONDITIONS}


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
        state: promoted, promising on validation, not promoted, or nothing to promote.
        detail: the reason.
    """

    state: str
    detail: str

    @property
    def text(self) -> str:
        """Return state and detail in one line."""
        return f"{self.state}: {self.detail}"


def name_verdict_state(outcome: str | None, is_promoted: bool) -> str:
    """Return promoted, promising on validation, not promoted, or nothing to promote.

    Args:
        outcome: how far the comparison came, a `ComparisonOutcome`.
        is_promoted: whether the candidate was promoted.
    """
    if is_promoted:
        return PROMOTED
    if outcome == ComparisonOutcome.PROMISING_ON_VAL:
        return PROMISING
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


def get_plain_verdict(verdict: Mapping[str, Any]) -> str:
    """Return the sentence that begins the page, a message and a summary.

    Args:
        verdict: `verdict` of `summary.json`; that of an earlier version has its headline alone.
    """
    return str(verdict.get("plain") or verdict["headline"])


def compose_headline(verdict: Mapping[str, Any], names: SubsetNames = PLAIN_NAMES) -> Headline:
    """Return the verdict in one line.

    Args:
        verdict: the artifact of that name.
        names: names of slices and splits.
    """
    is_promoted = verdict["promoted"]
    state = name_verdict_state(verdict["outcome"], is_promoted)
    if verdict.get("arrivals") and verdict["outcome"] in ARRIVALS_OUTCOMES:
        return Headline(state, describe_arrivals_verdict(verdict["arrivals"], is_promoted))
    if verdict["outcome"] == ComparisonOutcome.PROMISING_ON_VAL:
        return Headline(state, _describe_promise(verdict["foreseen"]))
    if verdict["outcome"] == ComparisonOutcome.REFUSED_ON_VAL and _is_harm_alone(verdict):
        failed = [item for item in verdict["conditions"] if not item["passed"]]
        loser = _name_likeliest_loser(failed, names)
        return Headline(
            state, f"the remedy helps its slices, but {loser}; the sealed test was not used"
        )
    if verdict["outcome"] != ComparisonOutcome.TESTED:
        return Headline(state, _OUTCOME_HEADLINES[ComparisonOutcome(verdict["outcome"])])
    gain = verdict["gain"]
    unjudged = "" if gain["seeds_judged"] else "; another training was not tried (one seed)"
    detail = (
        "of 100 sealed test images of the slices with a remedy, each class counted alike, "
        f"{count_gained_images(gain['mean'])} right than with {REFERENCE_NAMES[gain['reference']]}"
    )
    if is_promoted:
        return Headline(state, f"{detail}, {format_least_gain(gain['bound'])}{unjudged}")
    return Headline(state, f"{detail}, but {_list_failures(verdict, names)}{unjudged}")


def _list_failures(verdict: Mapping[str, Any], names: SubsetNames) -> str:
    """Return why a tested candidate was refused: chance, a loss overall, or who loses."""
    failed = {item["condition"]: item for item in verdict["conditions"] if not item["passed"]}
    reasons = []
    if failed.keys() & _GAIN_CONDITIONS:
        reasons.append("that may be chance or no work of the remedy")
    if GateCondition.OVERALL_NOT_WORSE in failed:
        reasons.append("a loss over all images is not excluded")
    if failed.keys() & _PART_CONDITIONS:
        reasons.append(_name_likeliest_loser(failed.values(), names))
    for kind, condition in failed.items():
        if kind not in {*_GAIN_CONDITIONS, *_HARM_CONDITIONS}:
            reasons.append(f"“{describe_condition(condition, names).name}” failed")
    return "; ".join(reasons)


def _name_likeliest_loser(failed: Iterable[Mapping[str, Any]], names: SubsetNames) -> str:
    """Return who is worse off: the part with the most probable loss."""
    harmed: list[Mapping[str, Any]] = []
    for condition in failed:
        harmed += condition["facts"].get("harmed") or []
    if not harmed:
        return "a loss over all images is not excluded"
    worst = max(harmed, key=lambda part: part["loss_probability"])
    others = len({(part["slice"], part["class"]) for part in harmed}) - 1
    text = (
        f"{name_part(worst, names)} went from {100 * worst['reference']:.0f} to "
        f"{100 * worst['treated']:.0f} % correct"
    )
    if others:
        text += f", and {others} more {'part' if others == 1 else 'parts'} lost"
    return text


def _is_harm_alone(verdict: Mapping[str, Any]) -> bool:
    """Return whether only conditions on images that lose have failed."""
    failed = {item["condition"] for item in verdict["conditions"] if not item["passed"]}
    return bool(failed & _HARM_CONDITIONS) and failed <= {
        *_HARM_CONDITIONS,
        GateCondition.TEST_OPENED,
    }


def _describe_promise(foreseen: Mapping[str, Any]) -> str:
    """Return what validation showed and what the test lacks, in one sentence."""
    shown = f"{100 * foreseen['val_before']:.0f} to {100 * foreseen['val_after']:.0f} % correct"
    held = "no image of this kind"
    if foreseen["images"]:
        held = f"{foreseen['images']:,} images of this kind, of {foreseen['groups']:,} groups"
    needed = describe_required_groups(foreseen["groups"], foreseen["groups_needed"])
    return f"{shown} on validation; the sealed test holds {held}, so it was not used: {needed}"


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
    facts = condition["facts"]
    in_force = REFERENCE_NAMES[facts.get("arm_in_force") or "champion"]
    titles = {
        GateCondition.PLANNED_SLICE: "a slice with a remedy",
        GateCondition.CHAMPION_COMPARED: "the model in force was compared",
        GateCondition.SLICE_GAIN: f"{slice_name} gained on {split}",
        GateCondition.PLANNED_GAIN: f"the remedy helped on {split}",
        GateCondition.GAIN_IN_FORCE: f"better than {in_force} on {split}",
        GateCondition.GENERIC_NOT_BETTER: f"generic augmentation is not better on {split}",
        GateCondition.OVERALL_NOT_WORSE: f"not worse overall on {split}",
        GateCondition.NO_CLASS_WORSE: f"no class worse on {split}",
        GateCondition.NO_SLICE_WORSE: f"no class within a slice worse on {split}",
        GateCondition.NO_HARM_OUTSIDE: f"no other images worse on {split}",
        GateCondition.TEST_OPENED: "the sealed test was used",
        GateCondition.ARRIVALS_GAIN: "a gain on images that arrived since",
        GateCondition.ARRIVALS_NOT_WORSE: "not worse overall on images that arrived since",
        GateCondition.ARRIVALS_NO_HARM: "no class worse on images that arrived since",
    }
    describe_facts, link = CONDITION_FACTS[kind]
    return ConditionText(titles[kind], describe_facts(facts, names), link)


@dataclass(frozen=True)
class CaveatText:
    """Something that was not judged.

    Attributes:
        name: what it is.
        reason: why it was not judged.
        decider: what would decide it.
    """

    name: str
    reason: str
    decider: str


def describe_caveat_row(limit: Mapping[str, Any], names: SubsetNames = PLAIN_NAMES) -> CaveatText:
    """Return what a verdict does not show, why, and what would decide it.

    Args:
        limit: a record of `pipeline.domain.gate_conditions.list_caveats`.
        names: names of slices and splits.
    """
    match VerdictCaveat(limit["limit"]):
        case VerdictCaveat.SINGLE_SEED:
            return CaveatText(
                "the luck of one training", "one seed was trained", "retrain.seeds=3 or more"
            )
        case VerdictCaveat.TOO_FEW_GROUPS:
            split = names.name_split(limit["split"])
            needed = limit["groups_needed"]
            is_reachable = needed and needed <= MANY_TIMES * max(limit["groups"], 1)
            return CaveatText(
                f"{describe_power_question(limit, names)} on {split}",
                f"{limit['groups']:,} groups are at hand",
                f"about {needed:,} groups"
                if is_reachable
                else "out of reach: the gain is too small",
            )
        case VerdictCaveat.NO_GENERIC_ARM:
            return CaveatText(
                "whether generic augmentation would do as well",
                "it was not trained",
                "retrain.generic=true",
            )
        case VerdictCaveat.GENERIC_NOT_BEATEN:
            return CaveatText(
                f"whether the remedy beats generic augmentation on "
                f"{names.name_split(limit['split'])}",
                f"{format_gain(limit['mean'])}, at least {format_gain(limit['bound'])}",
                "more groups",
            )
        case VerdictCaveat.WEIGHTED_ERRORS:
            return CaveatText(
                "gains in plain counts", "errors are weighed by evaluate.costs", "no costs"
            )
        case VerdictCaveat.UNJUDGED_CHAMPION:
            return CaveatText(
                f"the model in force, of run {limit['run_id']}",
                CHAMPION_REASONS[ChampionStatus(limit["status"])],
                "a run that can load it",
            )


def describe_caveat(limit: Mapping[str, Any], names: SubsetNames = PLAIN_NAMES) -> str:
    """Return in one sentence what a verdict does not show.

    Args:
        limit: a record of `pipeline.domain.gate_conditions.list_caveats`.
        names: names of slices and splits.
    """
    match VerdictCaveat(limit["limit"]):
        case VerdictCaveat.SINGLE_SEED:
            return (
                "One training: the same training once more may come out differently, and that was "
                "not tried (retrain.seeds)."
            )
        case VerdictCaveat.TOO_FEW_GROUPS:
            question = describe_power_question(limit, names)
            needed = describe_required_groups(limit["groups"], limit["groups_needed"])
            return f"Not decided on {names.name_split(limit['split'])}, {question} alone: {needed}."
        case VerdictCaveat.NO_GENERIC_ARM:
            return (
                "Generic augmentation was not trained (retrain.generic): "
                "whether it would do as well was not judged."
            )
        case VerdictCaveat.GENERIC_NOT_BEATEN:
            return (
                f"On {names.name_split(limit['split'])} the remedy was not shown to be better than "
                f"generic augmentation of the same budget: {format_gain(limit['mean'])}, "
                f"{format_least_gain(limit['bound'])}."
            )
        case VerdictCaveat.WEIGHTED_ERRORS:
            return (
                "Errors are weighed by evaluate.costs: "
                "gains and margins are in points of the worst error."
            )
        case VerdictCaveat.UNJUDGED_CHAMPION:
            return (
                f"The model in force, of run {limit['run_id']}, was not compared: "
                f"{CHAMPION_REASONS[ChampionStatus(limit['status'])]}."
            )
