"""The verdict: promoted, refused, or nothing to fix, and each condition with its value."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.report import verdict_rows as r
from pipeline.report.number_format import (
    format_count,
    format_number,
    format_plugin_name,
    format_points,
    set_minus_signs,
)
from pipeline.report.report_page import ReportPage, render_template

TITLE = "Verdict"
HAS_OWN_HEADING = True


def render(page: ReportPage) -> Markup:
    """A banner with the outcome in words, accuracy before and after, and a table of conditions."""
    record = page["verdict"]
    conditions = [_describe_condition(page, c) for c in record["conditions"]]
    return render_template(
        "gate_verdict.html",
        word=r.choose_outcome_word(page),
        tone=r.choose_banner_tone(page),
        text=r.replace_slice_names(page, r.strip_outcome(str(record["headline"]))),
        conditions=conditions,
        hero=_build_key_figures(page),
        change=_describe_change(page) if page.has_repaired_model else "",
        missed=[c for c in conditions if c["state"] == "failed"],
        levels=r.describe_levels(page) if page.has_repaired_model else "",
        unnamed=r.has_unnamed_cause(page),
        limits=[r.replace_slice_names(page, str(line)) for line in record.get("limits", ())],
    )


def _describe_condition(page: ReportPage, condition: dict[str, Any]) -> dict[str, Any]:
    state, word = {True: ("held", "held"), False: ("failed", "failed")}.get(
        condition["passed"], ("unknown", "not judged")
    )
    value, threshold = condition["value"], condition["threshold"]
    shares = any(x is not None and not float(x).is_integer() for x in (value, threshold))
    form = format_points if shares else format_number
    return {
        "state": state,
        "word": word,
        "name": r.replace_slice_names(page, str(condition["name"])),
        "value": form(value),
        "threshold": form(threshold),
        "why": set_minus_signs(str(condition.get("why") or "")),
        "link": str(condition.get("evidence") or "#headline").removeprefix("#"),
    }


def _describe_change(page: ReportPage) -> str:
    """What was done, and what became of it on validation, in one sentence."""
    plan, flips = page["plan"], page.flips["change"]
    pairs = plan[["remedy", "simulator"]].drop_duplicates()
    shown = pairs.fillna("").astype("str").sort_values("simulator", kind="stable")
    named = zip(shown["remedy"], shown["simulator"], strict=True)
    names = [
        format_plugin_name(remedy) + (f" drawn by the simulator of {who}" if who else "")
        for remedy, who in named
    ]
    treated = f"{format_count(plan['image_id'].nunique(), 'training image was', 'training images were')} also shown with "
    fixed, broken = (int((flips == kind).sum()) for kind in ("fixed", "broken"))
    became = f"of {format_count(len(flips), 'validation image')}, {fixed:,} were fixed and {broken:,} broken"
    judged = (
        "; no simulated image is in validation or test" if plan["simulator"].notna().any() else ""
    )
    return f"{treated}{' or '.join(names)}; {became}{judged}"


def _build_key_figures(page: ReportPage) -> list[dict[str, Any]]:
    """The two or three figures that stand large: accuracy, the images that the repair is meant for, slices."""
    rows = [row for row in r.build_comparison_rows(page) if row["what"] in ("all", "planned")]
    main = [row for row in rows if row["split"] == rows[0]["split"]] if rows else []
    if len(main) == 1 and page.has_repaired_model:
        main += [
            row
            for row in r.build_comparison_rows(page)
            if row["what"] == "slice" and row["split"] == main[0]["split"]
        ][:2]
    return [
        {
            **row,
            "name": f"{'Accuracy' if row['what'] == 'all' else row['name']}, {row['word'].lower()}",
        }
        for row in main
    ]
