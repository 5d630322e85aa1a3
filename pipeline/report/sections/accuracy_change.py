"""Before and after: accuracy of each arm with its interval, and the paired gain over the control arm."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.report import verdict_rows as r
from pipeline.report.report_page import ReportPage, render_template

TITLE = "Before and after"
_WHISKER_WIDTH = 180  # of the whisker, in SVG units


def render(page: ReportPage) -> Markup:
    """Every comparison with its interval, "within noise" said plainly, and what was too small to judge."""
    rows = _drop_repeated_rows(
        r.build_comparison_rows(page), page["comparison"]["primary"]["slices"]
    )
    if not rows:
        return Markup("")
    reach = max(
        [
            abs(g[k])
            for row in rows
            if (g := row["gain"])
            for k in ("low", "high")
            if g[k] is not None
        ]
        or [0.1]
    )
    rows = [{**row, "whisker": _place_whisker(row["gain"], min(reach, 0.5))} for row in rows]
    main = rows[0]
    splits = {key: record for key, _, record in r.list_compared_splits(page)}
    power = r.build_power_rows(page)
    return render_template(
        "accuracy_change.html",
        rows=rows,
        main=main,
        changed=page.has_repaired_model,
        levels=r.describe_levels(page),
        f1=_build_f1_rows(splits),
        power=power,
        worse=splits[main["split"]].get("non_inferiority"),
        margins=page["comparison"].get("margins"),
        sealed=None if "test" in splits else page["comparison"]["opening"],
        short=[p for p in power if p["enough"] is False],
        seeds=main["gain"]["seeds"] if main["gain"] else 0,
        generic=[row for row in rows if row["over_generic"]],
        costs=page["comparison"].get("costs"),
        budget=[b for b in page["comparison"].get("budget", ()) if b["passes"]],
    )


def _drop_repeated_rows(
    rows: list[dict[str, Any]], planned_slices: list[str]
) -> list[dict[str, Any]]:
    """The rows without those that say the same twice: one planned slice is all that the repair is meant for."""
    return [row for row in rows if row["what"] != "planned" or len(planned_slices) != 1]


def _build_f1_rows(split_records: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for key, record in split_records.items():
        arms = record["arms"]
        rows.append(
            {
                "split": key,
                **{
                    arm: arms[arm][0]["macro_f1"] if arms.get(arm) else None
                    for arm in ("before", "control", "targeted")
                },
            }
        )
    return rows


def _place_whisker(gain: dict[str, Any] | None, max_gain: float) -> dict[str, float] | None:
    """Places of an interval on a line from -reach to +reach, in SVG units."""
    if not gain or gain["mean"] is None or gain["low"] is None or gain["high"] is None:
        return None
    half = _WHISKER_WIDTH / 2
    place = {
        k: round(half + half * max(-1.0, min(1.0, gain[k] / (max_gain or 1.0))) * 0.94, 1)
        for k in ("low", "mean", "high")
    }
    return {**place, "zero": half, "width": _WHISKER_WIDTH}
