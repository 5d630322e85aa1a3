"""`reports/index.html`: every run with its verdict, accuracy before and after, and slices in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from pipeline.sections import draw
from pipeline.sections.page import frame
from pipeline.sections.results import after_colon
from pipeline.sections.slice_view import headline


def render_index(summaries: Iterable[Mapping[str, Any]]) -> str:
    """The list of all runs, in the order given (newest first); each links to `<run_id>/index.html`.

    A summary that cannot be read is listed as such and hides no other.
    """
    rows = [_row(summary) for summary in summaries]
    return frame("All runs, Nightshift", "All runs", lead=draw("index.html", rows=rows))


def _get(tree: Any, *path: str) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


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
            "split": None,
        }
    split = next((key for key in ("test", "val") if isinstance(_get(summary, "metrics", key), Mapping)), None)
    arms = {
        arm: _number(_get(summary, "metrics", split or "", "accuracy", arm, "value")) for arm in ("before", "after")
    }
    word = str(_get(summary, "verdict", "word") or ("Promoted" if promoted else "Refused"))
    return {
        "run_id": run,
        "href": f"{quote(run, safe='')}/index.html",
        "word": word,
        "tone": word.lower() if word in ("Promoted", "Refused") else "nothing",
        "split": split,
        **arms,
        "text": after_colon(str(_get(summary, "verdict", "headline") or "")),
        "slices": _slices(_get(summary, "slices")),
    }


def _slices(slices: Any) -> list[str]:
    rows = slices if isinstance(slices, list) else []
    return [headline(str(_get(s, "words") or ""))[0] for s in rows if _get(s, "status") == "confirmed"]
