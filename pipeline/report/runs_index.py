"""`reports/index.html`: every run with its verdict, accuracy and slices, and their trends.

A summary may come from any version, or be damaged. No value is taken for granted; a run whose
summary cannot be read is listed as such.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from pipeline.domain.statuses import SliceStatus
from pipeline.report.exports.picture_names import MATRIX_FILE, name_sheet
from pipeline.report.page_rendering import build_content_policy
from pipeline.report.page_templates import read_asset, render_template
from pipeline.report.run_trends import extract_run_name, group_trends
from pipeline.report.sentences.gate_sentences import split_headline
from pipeline.report.sentences.number_format import (
    count_slice_states,
    embed_json,
    format_percent,
    set_minus_signs,
)
from pipeline.report.sentences.verdict_rows import choose_banner_class, choose_outcome_text

_CLASSES_OF_STATE = {"promoted": "held", "refused": "failed"}
RunRow = dict[str, Any]
IMAGE_SOURCES = "data: 'self'"  # pictures lie beside the pages of the runs


def render_runs_index(
    summaries: Iterable[Mapping[str, Any]], pictures: Mapping[str, Collection[str]] = {}
) -> str:
    """Return the list of all runs, in the given order (newest first).

    Each run links to `<run_id>/index.html`.

    Args:
        summaries: `summary.json` of each run.
        pictures: names of the pictures in `<run_id>/`, by run id.
    """
    rows, readable, compared = [], [], []
    for summary in summaries:
        row = _build_run_row(summary)
        rows.append(row)
        if row["href"]:
            readable.append(row)
            lines = _list_comparison_lines(row, summary)
            lines += _list_picture_lines(row, summary, pictures.get(row["run_id"], ()))
            compared.append({"run_id": row["run_id"], "lines": lines})
    style, script = map(Markup, map(read_asset, ("runs_list.css", "runs_list.js")))
    document = render_template(
        "runs_list.html",
        style=style,
        script=script,
        policy=build_content_policy(style, script, IMAGE_SOURCES),
        rows=rows,
        names=sorted({row["name"] for row in rows} - {""}),
        trends=group_trends(readable),
        runs=compared,
        first_pair=_choose_compared_runs(readable),
        data=embed_json({"runs": compared}),
    )
    return str(document)


def _get_nested(record: Any, *keys: str) -> Any:
    """Return the value under nested keys, or None."""
    for key in keys:
        record = record.get(key) if isinstance(record, Mapping) else None
    return record


def _get_list(record: Any, key: str) -> list[Any]:
    value = _get_nested(record, key)
    return value if isinstance(value, list) else []


def _parse_number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _read_accuracy(summary: Any, split: str, arm: str) -> float | None:
    return _parse_number(_get_nested(summary, "metrics", split, "accuracy", arm, "value"))


def _choose_split(summary: Any) -> str:
    """Return the split with the strongest evidence; empty without any."""
    for split in ("test", "val"):
        if isinstance(_get_nested(summary, "metrics", split), Mapping):
            return split
    return ""


def _build_run_row(summary: Any) -> RunRow:
    run_id = _get_nested(summary, "run_id")
    is_promoted = _get_nested(summary, "verdict", "promoted")
    name = str(run_id) if run_id else ""
    if not name or name in (".", "..") or not isinstance(is_promoted, bool):
        return {
            "run_id": name or "A run",
            "name": extract_run_name(name),
            "href": "",
            "outcome": "Unreadable",
            "state_class": "unknown",
            "headline": "",
            "slices": [],
            "slice_states": "",
            "split": "",
        }
    outcome = _get_nested(summary, "verdict", "outcome")
    outcome = outcome if isinstance(outcome, str) else None
    split = _choose_split(summary)
    banner_class = choose_banner_class(is_promoted, outcome)
    headline = str(_get_nested(summary, "verdict", "headline") or "")
    plain_verdict = str(_get_nested(summary, "verdict", "plain") or "")
    return {
        "run_id": name,
        "name": extract_run_name(name),
        "href": f"{quote(name, safe='')}/index.html",
        "outcome": choose_outcome_text(is_promoted, outcome),
        "state_class": _CLASSES_OF_STATE.get(banner_class, "unknown"),
        "split": split,
        "before": _read_accuracy(summary, split, "before"),
        "after": _read_accuracy(summary, split, "after"),
        "val_before": _read_accuracy(summary, "val", "before"),
        "val_after": _read_accuracy(summary, "val", "after"),
        "headline": plain_verdict
        or set_minus_signs(split_headline(headline, outcome, is_promoted).detail),
        "slices": list(map(_get_title, _list_confirmed_slices(summary))),
        "followed": _get_list(summary, "followed"),
        "slice_states": _summarize_states(summary),
    }


def _get_title(slice_summary: Any) -> str:
    title = _get_nested(slice_summary, "title") or _get_nested(slice_summary, "words")
    return str(title or "")


def _summarize_states(summary: Any) -> str:
    trends = _get_list(summary, "followed")
    return count_slice_states([trend for trend in trends if _get_nested(trend, "state")])


def _list_confirmed_slices(summary: Any) -> list[Any]:
    confirmed = []
    for slice_summary in _get_list(summary, "slices"):
        if _get_nested(slice_summary, "status") == SliceStatus.CONFIRMED:
            confirmed.append(slice_summary)
    return confirmed


def _build_line(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "value": None, "text": text}


def _add_share_line(lines: list[dict[str, Any]], name: str, value: float | None) -> None:
    if value is not None:
        lines.append({"name": name, "value": value, "text": format_percent(value)})


def _list_comparison_lines(row: RunRow, summary: Any) -> list[dict[str, Any]]:
    """Return the lines of a comparison of two runs: name, share (or None) and text.

    Slices are matched by their titles.
    """
    fingerprint = str(_get_nested(summary, "data", "fingerprint") or "")
    lines = [_build_line("Verdict", row["outcome"]), _build_line("Data", fingerprint)]
    for split, split_name in (("test", "test"), ("val", "validation")):
        for arm in ("before", "control", "after"):
            accuracy = _read_accuracy(summary, split, arm)
            _add_share_line(lines, f"Accuracy on {split_name}, {arm}", accuracy)
    lines.append(_build_line("Confirmed slices", str(len(row["slices"]))))
    for title, slice_summary in zip(row["slices"], _list_confirmed_slices(summary), strict=True):
        for arm in ("before", "after"):
            error = _parse_number(_get_nested(slice_summary, f"error_{arm}"))
            _add_share_line(lines, f"Error rate, {title}: {arm}", error)
    return lines


def _list_picture_lines(
    row: RunRow, summary: Any, pictures: Collection[str]
) -> list[dict[str, Any]]:
    """Return the pictures of a comparison of two runs: name and the address of the picture."""
    named = [("Confusion matrices", MATRIX_FILE)]
    for title, slice_summary in zip(row["slices"], _list_confirmed_slices(summary), strict=True):
        named.append((f"Images, {title}", name_sheet(str(slice_summary.get("slice")))))
    folder = row["href"].rpartition("/")[0]
    return [
        _build_line(name, "") | {"picture": f"{folder}/{quote(file, safe='')}"}
        for name, file in named
        if file in pictures
    ]


def _choose_compared_runs(rows: list[RunRow]) -> tuple[int, int]:
    """Return which two runs are compared first: an earlier one and the latest.

    The earlier one is the latest of the same name, or else the one directly before.
    """
    for number, row in enumerate(rows[1:], 1):
        if row["name"] == rows[0]["name"]:
            return number, 0
    return 1, 0
