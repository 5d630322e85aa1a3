"""The page of a monitoring: findings, history and the next labelling batch, in the report's frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.monitor import history
from pipeline.sections import charts as c
from pipeline.sections.drift import drawn
from pipeline.sections.page import frame
from pipeline.sections.words import FILTERS

SHOWN = 50  # photos of the batch on the page
LAST = 60  # runs on the charts
LINES = 4  # attributes drawn, those that moved most this time

_ENVIRONMENT = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined)
_ENVIRONMENT.filters.update(FILTERS)


def _draw(template: str, **values: Any) -> Markup:
    return Markup(_ENVIRONMENT.get_template(template).render(**values))


def _chart(table: pd.DataFrame, names: Mapping[str, str], alt: str, share: bool) -> Markup:
    """The columns of the history as lines, named as `names` says; empty below two runs."""
    series = history.series(table, list(names))
    lines = [c.Line(names[n], points, tone) for (n, points), tone in zip(series.items(), "abcd", strict=False)]
    if len(table) < 2 or not lines:
        return Markup("")
    most = max(max(y for _, y in line.points) for line in lines)
    y = c.numbers(100 * max(most, 0.04), "") if share else c.numbers(max(most, 0.2), "")
    axis = c.Axis(0.0, y.high / 100, [(v / 100, f"{text} %") for v, text in y.ticks], "") if share else y
    step = max(1, -(-len(table) // 8))
    ticks = [(float(k), str(k)) for k in range(1, len(table) + 1, step)]
    return c.line_chart(lines, c.Axis(1.0, float(len(table)), ticks, "monitored, oldest first"), axis, alt)


def _past(found: Mapping[str, Any], past: pd.DataFrame) -> Markup:
    last = past.tail(LAST).reset_index(drop=True)
    moved = {f"psi {r['attribute']}": r["attribute"] for r in found["attributes"][:LINES]}
    shares = {"declined": "declined", "beyond": "beyond", **{f"slice {r['slice']}": r["slice"]
              for r in found["slices"][:2]}}
    charts = (
        ("Shares of the photos", _chart(last, shares, "Shares of declined, new and slice photos, run by run", True)),
        ("PSI of the attributes that moved most", _chart(last, moved, "PSI of attributes, run by run", False)),
    )
    rows = [{k: None if pd.isna(v) else v for k, v in row.items()} for row in last[::-1].to_dict("records")]
    most = [max((v for k, v in row.items() if str(k).startswith("psi ") and v is not None), default=None)
            for row in rows]
    return _draw("history.html", rows=list(zip(rows, most, strict=True)), charts=[x for x in charts if x[1]])


def page(found: Mapping[str, Any], chosen: pd.DataFrame, past: pd.DataFrame) -> str:
    """The whole page as offline HTML. chosen: the batch; past: the history with this run in it."""
    told = chosen.head(SHOWN).to_dict("records")
    parts = (
        ("drift", "What arrived", drawn(found) + _draw("answers.html", found=found)),
        ("history", "History", _past(found, past)),
        ("batch", "The next labelling batch", _draw("batch.html", rows=told, n=len(chosen))),
    )
    sections = [{"name": n, "title": title, "own_heading": False, "body": body} for n, title, body in parts]
    return frame("Monitoring, Nightshift", str(found["champion"]), sections=sections)
