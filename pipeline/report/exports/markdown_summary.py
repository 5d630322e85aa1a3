"""A run's result as Markdown: for a pull request, and for the page of a build.

It is composed from `summary.json` alone, so that a finished run has it without a second rendering.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pipeline.domain.statuses import SliceStatus
from pipeline.report.exports.markdown_text import escape_markdown, format_table
from pipeline.report.exports.picture_names import (
    CURVES_FILE,
    MATRIX_FILE,
    name_dose_curve,
    name_sheet,
)
from pipeline.report.exports.training_log import TRAINING_LOG_FILE
from pipeline.report.sentences.gate_sentences import get_plain_verdict
from pipeline.report.sentences.number_format import format_percent, format_sentence
from pipeline.report.sentences.slice_sentences import describe_slice_counts

MARKDOWN_FILE = "summary.md"
MAX_CHANGED_PARTS = 12
"""Rows of the table of those who gain or lose; the page has all."""
_SUBSET_NAMES = {
    "all": "All images",
    "planned": "Images of slices with a remedy",
    "others": "All other images",
}
_SPLIT_NAMES = {"test": "test set", "val": "validation set"}
_STATUS_ORDER = ("harmed", "uncertain", "not worse")
_STATUS_WORDS = {"harmed": "probably worse", "not worse": "not worse", "uncertain": "uncertain"}
Record = Mapping[str, Any]


def compose_markdown(summary: Record, pictures: Collection[str] = (), page: str = "") -> str:
    """Return a run's result as Markdown.

    Args:
        summary: the artifact of that name.
        pictures: names of the files of pictures beside the text; empty: it shows none.
        page: address of the page; empty without one.
    """
    verdict = summary["verdict"]
    parts = [
        f"# {escape_markdown(verdict['word'])}: {escape_markdown(summary['run_id'])}",
        escape_markdown(format_sentence(get_plain_verdict(verdict))),
    ]
    parts += [f"**{escape_markdown(fault)}**" for fault in verdict["data_faults"]]
    for split, metrics in summary["metrics"].items():
        parts += _compose_accuracy(summary, split, metrics)
    parts += _show_picture(pictures, MATRIX_FILE, "Confusion matrices before and after")
    if MATRIX_FILE in pictures:
        parts.append(_cite("compare/flips", "label", "before", "after"))
    parts += _compose_changes(summary)
    for row in _list_confirmed(summary):
        parts += _compose_slice(row, pictures)
    parts += _compose_conditions(verdict)
    if CURVES_FILE in pictures:
        parts += ["## Training", *_show_picture(pictures, CURVES_FILE, "Loss and accuracy")]
        parts.append(f"As a table: [{TRAINING_LOG_FILE}]({TRAINING_LOG_FILE}).")
        parts.append(_cite("train/history", "step", "split", "loss", "accuracy"))
    if page:
        parts.append(f"[The whole report]({page})")
    return "\n\n".join(parts) + "\n"


def _cite(artifact: str, *columns: str) -> str:
    """Return the artifact and the columns behind the figures above."""
    return f"<sub>From `{artifact}`: {', '.join(f'`{column}`' for column in columns)}.</sub>"


def _show_picture(pictures: Collection[str], name: str, text: str) -> list[str]:
    return [f"![{escape_markdown(text)}]({name})"] if name in pictures else []


def _list_confirmed(summary: Record) -> list[Record]:
    return [row for row in summary["slices"] if row["status"] == SliceStatus.CONFIRMED]


def _format_value(interval: Record | None) -> str:
    return format_percent(interval["value"] if interval else None)


def _compose_accuracy(summary: Record, split: str, metrics: Record) -> list[str]:
    """Return the accuracy of each arm on each subset of a split."""
    titles = {row["slice"]: row["title"] for row in summary["slices"]}
    arms = ["before", "control", "after"]
    if all(part["after"] is None for part in metrics["parts"]):
        arms = ["before"]
    rows = []
    for part in metrics["parts"]:
        name = _SUBSET_NAMES.get(part["what"]) or titles.get(part["slice"], part["slice"])
        row = [name, f"{part['n']:,}", *(_format_value(part[arm]) for arm in arms)]
        rows.append(row)
    return [
        f"## Accuracy on the {_SPLIT_NAMES[split]}",
        format_table(["", "images", *arms], rows),
        "In a slice every class counts alike.",
        _cite("compare/comparison", f"{split}.overall", f"{split}.slices", f"{split}.outside"),
    ]


def _compose_changes(summary: Record) -> list[str]:
    """Return the parts that lose, then those that gain most."""
    titles = {row["slice"]: row["title"] for row in summary["slices"]}

    def rank(part: Record) -> tuple[int, int]:
        return _STATUS_ORDER.index(part["status"]), part["before"] - part["after"]

    rows = []
    for part in sorted(summary["by_part"], key=rank)[:MAX_CHANGED_PARTS]:
        names = [titles.get(part["slice"] or "", ""), part["class"] or ""]
        name = ", ".join(filter(None, names)) or "All other images"
        before, after = (format_percent(part[arm] / 1000) for arm in ("before", "after"))
        rows.append([name, f"{part['n']:,}", before, after, _STATUS_WORDS[part["status"]]])
    if not rows:
        return []
    return [
        "## Who gains, and who pays",
        format_table(["", "images", "before", "after", ""], rows),
        _cite("compare/comparison", f"{summary['by_part'][0]['split']}.safety"),
    ]


def _compose_slice(row: Record, pictures: Collection[str]) -> list[str]:
    name = row["slice"]
    parts = [
        f"## {escape_markdown(row['title'])} ({escape_markdown(name)})",
        escape_markdown(format_sentence(f"{describe_slice_counts(row)}. {row['words']}")),
    ]
    if row["error_after"] is not None:
        errors = (format_percent(row[f"error_{arm}"]) for arm in ("before", "control", "after"))
        parts.append(format_table(["error rate", "before", "control", "after"], [["", *errors]]))
    parts += _show_picture(pictures, name_sheet(name), "Images with label and predictions")
    parts += _show_picture(pictures, name_dose_curve(name), "Accuracy by strength")
    parts.append(_cite("cluster/membership", "slice") + _cite("compare/flips", "before", "after"))
    return parts


def _compose_conditions(verdict: Record) -> list[str]:
    rows = []
    for condition in verdict["conditions"]:
        result = "holds" if condition["passed"] else "failed"
        rows.append([condition["name"], result, condition["why"]])
    if not rows:
        return []
    failed = sum(not condition["passed"] for condition in verdict["conditions"])
    heading = f"{len(rows)} conditions, {failed} failed"
    table = format_table(["condition", "result", "why"], rows).replace("---:", "---")
    return [f"<details><summary>{heading}</summary>", table, "</details>"]
