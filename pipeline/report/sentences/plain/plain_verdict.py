"""The verdict in one plain sentence, for a reader with thirty seconds.

It names classes and counts of a hundred images, without intervals and terms of statistics. Each
number links to the section with its evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.domain.statuses import ComparisonOutcome, GateCondition
from pipeline.report.sentences.number_format import format_count

Row = Mapping[str, Any]
_UNDECIDED = "Not decided yet"
_REFUSED = "Do not switch"
_EVIDENCE_LINKS = {"class": "#per_class_metrics", "others": "#accuracy_change"}


@dataclass(frozen=True)
class TextPart:
    """A stretch of a sentence.

    Attributes:
        text: the words.
        link: anchor of the evidence behind a number; empty without one.
        is_name: whether it is the name of a class.
    """

    text: str
    link: str = ""
    is_name: bool = False


@dataclass(frozen=True)
class PlainVerdict:
    """The verdict for everybody.

    Attributes:
        answer: whether to switch, in two to three words.
        parts: the sentence behind it, without a capital.
    """

    answer: str
    parts: tuple[TextPart, ...]

    @property
    def capitalized_parts(self) -> tuple[TextPart, ...]:
        """Return the parts of the sentence with a capital."""
        first, *rest = self.parts
        return replace(first, text=first.text[:1].upper() + first.text[1:]), *rest

    @property
    def text(self) -> str:
        """Return answer and sentence in one line."""
        return f"{self.answer}: {''.join(part.text for part in self.parts)}."


@dataclass(frozen=True)
class VerdictFacts:
    """What a plain verdict is made from.

    Attributes:
        outcome: how far the comparison came (`ComparisonOutcome`).
        is_promoted: whether the candidate was promoted.
        changes: for whom it got better or worse, rows of `build_change_rows`.
        places: where each confirmed slice is, by slice, the worst first.
        planned: names of the slices with a remedy in training.
        failed_conditions: conditions of the gate that do not hold.
        foreseen: groups that the test set holds of the planned slices, and groups that it needs.
        image_count: validation images.
        error_count: those that the model misclassifies.
        overall: share of all images predicted correctly, before and after.
        slice_errors: error rate of each confirmed slice, and that expected of its classes.
        confusion: label, prediction and count of the most frequent error; None without errors.
        arrived_groups: groups that arrived after the training and were labeled.
        class_free_places: as `places`, without the class of a slice's rule.
    """

    outcome: str | None
    is_promoted: bool
    changes: Sequence[Row]
    places: Mapping[str, str]
    planned: Sequence[str]
    failed_conditions: frozenset[str]
    foreseen: Row | None
    image_count: int
    error_count: int
    overall: tuple[float, float]
    slice_errors: Mapping[str, tuple[float, float]]
    confusion: tuple[str, str, int] | None
    arrived_groups: int = 0
    class_free_places: Mapping[str, str] = field(default_factory=dict)

    def name_place(self, row: Row) -> str:
        """Return where the slice of a row is; a row of one class has named its class itself."""
        place = self.places.get(row["slice"], "elsewhere")
        return self.class_free_places.get(row["slice"], place) if row["class"] else place


def compose_plain_verdict(facts: VerdictFacts) -> PlainVerdict:
    """Return the verdict in two to three words and one plain sentence."""
    if facts.is_promoted:
        parts = (*_describe_gain(facts), *_describe_others(facts), *_describe_arrivals(facts))
        return PlainVerdict("Safe to switch", parts)
    match facts.outcome:
        case ComparisonOutcome.NO_FAILURES:
            text = f"the model is right on all {facts.image_count:,} images that it was tried on"
            return PlainVerdict("Nothing to mend", (TextPart(text),))
        case ComparisonOutcome.NO_SLICE:
            return PlainVerdict("No common cause found", _describe_errors(facts))
        case ComparisonOutcome.NO_PLAN:
            return PlainVerdict("Weakness found, no remedy", _describe_weakness(facts))
        case ComparisonOutcome.NO_CANDIDATES:
            return PlainVerdict("Nothing to compare", _describe_weakness(facts))
        case ComparisonOutcome.NO_TEST:
            missing = TextPart("; there are no test images to prove it on")
            return PlainVerdict(_UNDECIDED, (*_describe_gain(facts), missing))
        case ComparisonOutcome.PROMISING_ON_VAL:
            missing_test = (*_describe_missing_test(facts), *_describe_arrivals(facts))
            return PlainVerdict(_UNDECIDED, (*_describe_gain(facts), *missing_test))
        case ComparisonOutcome.USED_UP:
            used = TextPart("; the final test has been used too often and needs new images")
            return PlainVerdict(_UNDECIDED, (*_describe_gain(facts), used))
    return PlainVerdict(_REFUSED, (*_describe_refusal(facts), *_name_unimproved(facts)))


def find_worst_slice(facts: VerdictFacts) -> str | None:
    """Return the first slice with a remedy, without one the first slice; None without slices."""
    return next(iter([*facts.planned, *facts.places]), None)


def find_gained_part(facts: VerdictFacts) -> Row | None:
    """Return the class of the worst slice that gains most, else the slice that does."""
    worst = find_worst_slice(facts)
    parts = [row for row in facts.changes if row["slice"] == worst and worst is not None]
    by_class = [row for row in parts if row["kind"] == "slice class"]
    return max(by_class or parts, key=lambda row: row["change"], default=None)


def list_harmed_parts(facts: VerdictFacts) -> list[Row]:
    """Return the parts that are probably worse off, those of the worst slice first."""
    worst = find_worst_slice(facts)
    harmed = [row for row in facts.changes if row["status"] == "harmed"]
    return sorted(
        harmed, key=lambda row: (row["slice"] != worst, row["class"] is None, row["change"])
    )


def link_evidence(row: Row) -> str:
    """Return the anchor of the evidence about a part."""
    return f"#slice-{row['slice']}" if row["slice"] else _EVIDENCE_LINKS[row["kind"]]


def _describe_share(row: Row, key: str, link: str = "") -> TextPart:
    return TextPart(f"{round(row[key] / 10)} of 100", link)


def _describe_gain(facts: VerdictFacts) -> list[TextPart]:
    """Return how many of a hundred images of the worst slice are right now and were before."""
    row = find_gained_part(facts)
    if row is None:
        before, after = (round(100 * share) for share in facts.overall)
        return [
            TextPart(f"{after} of 100", "#accuracy_change"),
            TextPart(f" images are now recognized, before it was {before}"),
        ]
    noun = TextPart(row["class"], is_name=True) if row["class"] else TextPart("images")
    before = round(row["before"] / 10)
    adverb = "now " if row["change"] > 0 else ""
    return [
        TextPart(f"{facts.name_place(row)}, "),
        _describe_share(row, "after", link_evidence(row)),
        TextPart(" "),
        noun,
        TextPart(f" are {adverb}recognized, before it was {before}"),
    ]


def _describe_others(facts: VerdictFacts) -> list[TextPart]:
    """Return the largest loss of anybody else, in images of a hundred."""
    loss = round(max((-row["change"] for row in facts.changes), default=0) / 10)
    if loss <= 0:
        return [TextPart("; nobody else is worse off")]
    row = min(facts.changes, key=lambda row: row["change"])
    return [
        TextPart("; nobody else loses more than "),
        TextPart(f"{loss} of 100", link_evidence(row)),
    ]


def _describe_arrivals(facts: VerdictFacts) -> list[TextPart]:
    """Return what images that arrived after the training say where no final test decided."""
    if not facts.arrived_groups or facts.outcome == ComparisonOutcome.TESTED:
        return []
    groups = TextPart(f"{facts.arrived_groups:,} groups", "#gate_conditions")
    effect = "confirm it" if facts.is_promoted else "do not decide it yet"
    return [TextPart("; "), groups, TextPart(f" of images that arrived since {effect}")]


def _describe_refusal(facts: VerdictFacts) -> list[TextPart]:
    """Return what speaks against a switch."""
    harmed = list_harmed_parts(facts)
    gained = find_gained_part(facts)
    if harmed:
        return [*_describe_gain(facts), TextPart(", but only "), *_describe_loss(facts, harmed[0])]
    if gained is None or facts.failed_conditions & {
        GateCondition.SLICE_GAIN,
        GateCondition.PLANNED_GAIN,
        GateCondition.GAIN_IN_FORCE,
        GateCondition.ARRIVALS_GAIN,
    }:
        return [TextPart("retraining was not shown to help: "), *_describe_gain(facts)]
    if GateCondition.CHAMPION_COMPARED in facts.failed_conditions:
        reason = "; the model in force could not be compared"
    elif GateCondition.GENERIC_NOT_BETTER in facts.failed_conditions:
        reason = "; ordinary augmentation does it better"
    elif GateCondition.OVERALL_NOT_WORSE in facts.failed_conditions:
        before, after = (round(100 * share) for share in facts.overall)
        reason = f"; over all images it is {after} of 100, before it was {before}"
    else:
        reason = "; it was not shown that nobody else is worse off"
    return [*_describe_gain(facts), TextPart(reason)]


def _describe_loss(facts: VerdictFacts, row: Row) -> list[TextPart]:
    """Return how many of a hundred images of a part are right now and were before."""
    gained = find_gained_part(facts)
    parts = [_describe_share(row, "after", link_evidence(row))]
    if row["class"]:
        parts += [TextPart(" "), TextPart(row["class"], is_name=True)]
    else:
        parts.append(TextPart(" images"))
    if row["slice"] and row["slice"] != (gained or {}).get("slice"):
        parts.append(TextPart(f" {facts.name_place(row)}"))
    elif row["kind"] == "others":
        parts.append(TextPart(" elsewhere"))
    return [*parts, TextPart(f", before it was {round(row['before'] / 10)}")]


def _name_unimproved(facts: VerdictFacts) -> list[TextPart]:
    """Return the other slices with a remedy that have no more correct images than before."""
    worst = find_worst_slice(facts)
    others = [name for name in facts.planned if name != worst]
    names = [
        row
        for row in facts.changes
        if row["kind"] == "slice" and row["slice"] in others and row["change"] <= 0
    ]
    parts = []
    for row in names:
        parts.append(TextPart(f"; {facts.places[row['slice']]} "))
        parts.append(TextPart("nothing improved", link_evidence(row)))
    return parts


def _describe_missing_test(facts: VerdictFacts) -> list[TextPart]:
    """Return how many groups the final test lacks."""
    foreseen = facts.foreseen or {}
    held, needed = foreseen.get("groups", 0), foreseen.get("groups_needed")
    count = format_count(held, "group") if held else "no group"
    needs = f"needs about {needed:,}" if needed else "needs more"
    return [
        TextPart(f"; the final test holds {count} of such images and "),
        TextPart(needs, "#collection_plan"),
    ]


def _describe_errors(facts: VerdictFacts) -> tuple[TextPart, ...]:
    """Return how many images are wrong, and the most frequent confusion."""
    parts = [
        TextPart(f"{facts.error_count:,} of {facts.image_count:,}", "#changed_images"),
        TextPart(" images are wrong, and nothing that they share was shown to be the cause"),
    ]
    if facts.confusion:
        label, prediction, count = facts.confusion
        parts += [
            TextPart("; most often "),
            TextPart(label, is_name=True),
            TextPart(" is taken for "),
            TextPart(prediction, is_name=True),
            TextPart(" ("),
            TextPart(f"{count:,} images", "#confusion_matrix"),
            TextPart(")"),
        ]
    return tuple(parts)


def _describe_weakness(facts: VerdictFacts) -> tuple[TextPart, ...]:
    """Return the error rate of the worst slice beside the expected rate of its classes."""
    worst = find_worst_slice(facts)
    if worst is None:
        return _describe_errors(facts)
    error, expected = (round(100 * share) for share in facts.slice_errors[worst])
    return (
        TextPart(f"{facts.places[worst]}, "),
        TextPart(f"{error} of 100", f"#slice-{worst}"),
        TextPart(f" are wrong, elsewhere {expected}; "),
        TextPart("collect more images like these", "#collection_plan"),
    )
