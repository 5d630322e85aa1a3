"""`reports/index.html`: every run with its verdict, accuracy and slices; their trend; any two of them side by side."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from pipeline.sections import charts as c
from pipeline.sections import draw
from pipeline.sections.page import frame
from pipeline.sections.results import after_colon
from pipeline.sections.slice_view import headline
from pipeline.sections.words import counted, embed, percent

TREND = 60  # latest runs on a trend line
TRENDS = 4  # names of runs with a trend
_NAMED = re.compile(r"\d{8}-\d{6}-(.+?)(?:-\d+)?")


def render_index(summaries: Iterable[Mapping[str, Any]]) -> str:
    """The list of all runs, in the order given (newest first); each links to `<run_id>/index.html`.

    A summary that cannot be read is listed as such and hides no other.
    """
    given = list(summaries)
    rows = [_row(summary) for summary in given]
    readable = [(row, summary) for row, summary in zip(rows, given, strict=True) if row["href"]]
    compared = [{"run_id": row["run_id"], "lines": _lines(row, summary)} for row, summary in readable]
    shown = [row for row, _ in readable]
    lead = draw("index.html", rows=rows, trends=_by_name(shown), runs=compared, pair=_pair(shown))
    data = embed({"kind": "runs", "runs": compared})
    return frame("All runs, Nightshift", "All runs", lead=lead, data=data)


def _get(tree: Any, *path: str) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _accuracy(summary: Any, split: str, arm: str) -> float | None:
    return _number(_get(summary, "metrics", split, "accuracy", arm, "value"))


def _row(summary: Any) -> dict[str, Any]:
    run_id, promoted = _get(summary, "run_id"), _get(summary, "verdict", "promoted")
    run = str(run_id) if run_id else ""
    if not run or run in (".", "..") or not isinstance(promoted, bool):
        return {
            "run_id": run or "A run",
            "href": "",
            "word": "Unreadable",
            "tone": "nothing",
            "text": "",
            "slices": [],
            "followed": "",
            "split": None,
        }
    split = next((key for key in ("test", "val") if isinstance(_get(summary, "metrics", key), Mapping)), None)
    word = str(_get(summary, "verdict", "word") or ("Promoted" if promoted else "Refused"))
    return {
        "run_id": run,
        "href": f"{quote(run, safe='')}/index.html",
        "word": word,
        "tone": word.lower() if word in ("Promoted", "Refused") else "nothing",
        "split": split,
        **{arm: _accuracy(summary, split or "", arm) for arm in ("before", "after")},
        "val": [_accuracy(summary, "val", arm) for arm in ("before", "after")],
        "text": after_colon(str(_get(summary, "verdict", "headline") or "")),
        "slices": [headline(str(_get(s, "words") or ""))[0] for s in _confirmed(summary)],
        "followed": _followed(summary),
    }


def _followed(summary: Any) -> str:
    tracks = _get(summary, "followed")
    return counted([t for t in tracks if _get(t, "state")]) if isinstance(tracks, list) else ""


def _confirmed(summary: Any) -> list[Any]:
    slices = _get(summary, "slices")
    return [s for s in slices if _get(s, "status") == "confirmed"] if isinstance(slices, list) else []


def _line(name: str, value: float | None) -> dict[str, Any]:
    return {"name": name, "value": value, "text": percent(value)}


def _lines(row: Mapping[str, Any], summary: Any) -> list[dict[str, Any]]:
    """What two runs are compared in: name, share (or None), text. Slices are matched by their words."""
    fingerprint = str(_get(summary, "data", "fingerprint") or "")
    lines = [{"name": n, "value": None, "text": t} for n, t in (("Verdict", row["word"]), ("Data", fingerprint))]
    for split, word in (("test", "test"), ("val", "validation")):
        for arm in ("before", "control", "after"):
            value = _accuracy(summary, split, arm)
            if value is not None:
                lines.append(_line(f"Accuracy on {word}, {arm}", value))
    lines.append({"name": "Confirmed slices", "value": None, "text": str(len(row["slices"]))})
    for words, record in zip(row["slices"], _confirmed(summary), strict=True):
        for when in ("before", "after"):
            value = _number(_get(record, f"error_{when}"))
            if value is not None:
                lines.append(_line(f"Misread, {words}: {when}", value))
    return lines


def _name(row: Mapping[str, Any]) -> str:
    """The name that a run's config gave it: "gate" of the run 20260301-224001-gate; "" where it has none."""
    match = _NAMED.fullmatch(row["run_id"])
    return match[1] if match else ""


def _by_name(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A trend for each name that two runs or more have, the latest names first."""
    names = list(dict.fromkeys(map(_name, rows)))
    trends = [{"name": name, "charts": _trends([r for r in rows if _name(r) == name])} for name in names]
    return [trend for trend in trends if trend["charts"]][:TRENDS]


def _pair(rows: list[dict[str, Any]]) -> tuple[int, int]:
    """Which two runs are compared first: the latest one, and the one of its name before it (or just the one before)."""
    alike = [k for k, row in enumerate(rows[1:], 1) if _name(row) == _name(rows[0])]
    return alike[0] if alike else 1, 0


def _trends(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Accuracy on validation before and after, and confirmed slices, of the latest runs, oldest first."""
    latest = rows[:TREND][::-1]
    if len(latest) < 2:
        return []
    step = max(1, -(-len(latest) // 8))
    ticks = [(k, str(k + 1)) for k in range(0, len(latest), step)]
    x = c.Axis(0, len(latest) - 1, ticks, "run, oldest first")
    arms = [[(k, row["val"][a]) for k, row in enumerate(latest) if row["val"][a] is not None] for a in (0, 1)]
    found = [(float(k), float(len(row["slices"]))) for k, row in enumerate(latest)]
    low = min([y for arm in arms for _, y in arm] or [0.0])
    lines = [c.Line("before", arms[0], "b"), c.Line("after", arms[1], "a")]
    accuracy = c.line_chart(lines, x, c.shares(low - 0.02), "Accuracy on validation, run by run")
    most = max(4.0, max(y for _, y in found))
    slices = c.line_chart([c.Line("slices", found, "a")], x, c.numbers(most, ""), "Confirmed slices, run by run")
    pairs = (("Accuracy on validation", accuracy), ("Confirmed slices", slices))
    return [{"title": title, "svg": svg} for title, svg in pairs if svg != Markup("")]
