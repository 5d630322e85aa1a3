"""The result of a data set check as lines of text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from pipeline.data.quality.dataset_health import EXAMPLE_COUNT
from pipeline.data.reading.image_record import escape_control_characters

PRINTED_EXAMPLES = 5
"""Examples of each finding that are printed; JSON and HTML list more of them."""
_PRINTED_CLASSES = 12

_CONDITION_TEXTS = {
    "max_rejected": "rejected images",
    "max_duplicate_ratio": "exact duplicates",
    "max_cross_split_pairs": "duplicate pairs across splits",
    "max_split_groups": "groups in several splits",
    "max_label_conflicts": "same image under two labels",
    "min_class_images": "images of the smallest class",
    "max_class_ratio": "largest class by smallest",
    "max_unlabeled": "images without a label",
    "max_suspected": "suspected wrong labels",
    "min_classes": "classes",
    "max_untrained_classes": "classes of val or test that train lacks",
    "max_unjudged_classes": "classes of train that val and test lack",
    "max_near_label_conflicts": "near-duplicates under two labels",
    "min_test_images": "images of test",
    "max_dark": "dark images",
    "max_equal": "images that look alike",
    "max_split_difference": "difference between train and another split",
    "max_unused_tables": "tables that label images and are not read",
    "max_label_folders": "folders of one label each whose images are no group",
}
_REMEDIES = {
    "min_classes": "name the folder or the column of the classes (ingest.data, ingest.label)",
    "max_untrained_classes": "move images of them to train, or write ingest.given_split: ignore",
    "max_unjudged_classes": "move images of them to val and test, or write "
    "ingest.given_split: ignore",
    "min_test_images": "write ingest.given_split: ignore, so that a test is drawn",
    "max_unused_tables": "name the table to read in ingest.table",
    "max_label_folders": "write ingest.group_pattern: '^(.*)/' to keep each folder in one split",
    "max_split_groups": "write ingest.given_split: ignore, so that groups stay together",
    "max_dark": "for 16-bit images write ingest.range: [LOW, HIGH]",
}
"""What to do about a failed condition."""
_SHARE_CONDITIONS = (
    "max_rejected",
    "max_duplicate_ratio",
    "max_unlabeled",
    "max_suspected",
    "max_dark",
    "max_equal",
    "max_split_difference",
)


def describe_condition(condition: Mapping[str, Any]) -> str:
    """Return name, value and limit of a condition as a phrase.

    >>> describe_condition({"name": "max_unlabeled", "value": 0.25, "limit": 0.0})
    'images without a label: 25.00%, at most 0.00% (max_unlabeled)'
    """
    name = condition["name"]
    number_format = "{:.2%}" if name in _SHARE_CONDITIONS else "{:,.6g}"
    value = number_format.format(condition["value"])
    limit = number_format.format(condition["limit"])
    bound = "at least" if name.startswith("min_") else "at most"
    return f"{_CONDITION_TEXTS[name]}: {value}, {bound} {limit} ({name})"


def format_health_lines(health: Mapping[str, Any]) -> list[str]:
    """Return the result of `pipeline.data.quality.dataset_health` as lines, one for each fact."""
    lines = [
        *_format_entries(health),
        *_format_classes(health),
        *_format_duplicates(health),
        f"groups: {health['leaks']['groups']:,}, {health['leaks']['split_groups']:,} of them "
        "with images in several splits",
        *_format_storage(health),
        *_format_light(health["light"]),
        _format_hours(health["hours"]),
    ]
    labels = health["labels"]
    if labels:
        lines.append(f"suspected wrong labels: {labels['suspected']:,}")
    else:
        lines.append("suspected wrong labels: name a finished run with --run to see them")
    for condition in health["conditions"]:
        result = "ok    " if condition["passed"] else "FAILED"
        lines.append(f"{result} {describe_condition(condition)}")
        if not condition["passed"]:
            examples = condition["examples"]
            lines += _format_examples(examples, len(examples))
            if condition["name"] in _REMEDIES:
                lines.append(f"  {_REMEDIES[condition['name']]}")
    return list(map(escape_control_characters, lines))


def _format_entries(health: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{health['images']:,} images of {health['entries']:,} entries, "
        f"{health['rejected']:,} rejected"
    ]
    for reason, count in islice(health["reasons"].items(), EXAMPLE_COUNT):
        lines.append(f"  {count:,} {reason}")
    examples = (f"{item['path']}: {item['reason']}" for item in health["rejected_examples"])
    return lines + _format_examples(examples, health["rejected"])


def _format_classes(health: Mapping[str, Any]) -> list[str]:
    lines = []
    class_counts = _format_counts(health["classes"])
    if class_counts:
        listed = ", ".join(class_counts[:_PRINTED_CLASSES])
        more = ", ..." if len(class_counts) > _PRINTED_CLASSES else ""
        lines.append(f"classes: {listed}{more}")
        if health["unlabeled"]:
            lines.append(f"{health['unlabeled']:,} images have no label")
    else:
        lines.append("no labels: classes are not judged")
    if health["splits"]:
        lines.append(f"splits: {', '.join(_format_counts(health['splits']))}")
    return lines


def _format_counts(counts: Mapping[str, int]) -> list[str]:
    return [f"{name} {count:,}" for name, count in counts.items()]


def _format_duplicates(health: Mapping[str, Any]) -> list[str]:
    duplicates = health["duplicates"]
    note = ""
    if not health["is_duplicate_search_complete"]:
        note = " (near-duplicates are so many that the search ended early)"
    line = (
        f"duplicates: {duplicates['exact']:,} exact and {duplicates['near']:,} near pairs, "
        f"{duplicates['cross_split']:,} across splits, "
        f"{duplicates['label_conflicts']:,} exact ones under two labels{note}"
    )
    examples = map(_format_pair, duplicates["examples"])
    return [line, *_format_examples(examples, duplicates["exact"] + duplicates["near"])]


def _format_pair(pair: Mapping[str, Any]) -> str:
    properties = [pair["kind"]]
    if pair["is_cross_split"]:
        properties.append("across splits")
    if pair["has_two_labels"]:
        properties.append("two labels")
    return f"{pair['path']} = {pair['other_path']} ({', '.join(properties)})"


def _format_examples(examples: Iterable[str], count: int) -> list[str]:
    """Return the first examples of a finding, and a line on the others."""
    lines = [f"  {example}" for example in islice(examples, PRINTED_EXAMPLES)]
    if count > PRINTED_EXAMPLES:
        lines.append(
            f"  ... {count - PRINTED_EXAMPLES:,} more; --json and --html list {EXAMPLE_COUNT}"
        )
    return lines


def _format_storage(health: Mapping[str, Any]) -> list[str]:
    lines = []
    sizes = health["sizes"]
    if sizes:
        median = " x ".join(map(str, sizes["median"]))
        lines.append(f"sizes: median {median} px, {sizes['unusual']:,} unusual ones")
    if health["unusual_storage"]:
        counts = [f"{count:,} {name}" for name, count in health["unusual_storage"].items()]
        lines.append(f"stored: {', '.join(counts)}")
    return lines


def _format_light(light: Mapping[str, Any]) -> list[str]:
    """Return the dark, bright and blurred shares: of all, of each split, of the worst classes."""
    lines = [f"light: {_format_shares(light['all'])}"]
    for split, shares in light["split"].items():
        lines.append(f"  {split}: {_format_shares(shares)}")
    classes = sorted(light["class"].items(), key=lambda item: -sum(item[1].values()))
    for label, shares in classes[:PRINTED_EXAMPLES]:
        lines.append(f"  {label}: {_format_shares(shares)}")
    if len(classes) > PRINTED_EXAMPLES:
        lines.append(
            f"  ... {len(classes) - PRINTED_EXAMPLES:,} more classes; --json and --html list all"
        )
    return lines


def _format_shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{share:.1%} {name}" for name, share in shares.items())


def _format_hours(counts: Sequence[int]) -> str:
    hours = [f"{hour}h {count:,}" for hour, count in enumerate(counts) if count]
    return f"hours: {', '.join(hours) or 'no capture times'}"
