"""The verdict: promoted, refused, or nothing to fix, and each condition with its value."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.sections import Page, draw
from pipeline.sections import results as r
from pipeline.sections.words import count, minus, number, points, title

TITLE = "Verdict"
OWN_HEADING = True


def verdict(page: Page) -> Markup:
    """A banner with the outcome in words, accuracy before and after, and a table of conditions."""
    record = page["verdict"]
    conditions = [_condition(page, c) for c in record["conditions"]]
    return draw(
        "verdict.html",
        word=r.outcome_word(page),
        tone=r.tone(page),
        text=r.in_words(page, r.after_colon(str(record["headline"]))),
        conditions=conditions,
        hero=_hero(page),
        change=_change(page) if page.changed else "",
        missed=[c for c in conditions if c["state"] == "failed"],
        levels=r.levels(page) if page.changed else "",
        unnamed=r.has_unnamed(page),
        limits=[r.in_words(page, str(line)) for line in record.get("limits", ())],
    )


def _condition(page: Page, condition: dict[str, Any]) -> dict[str, Any]:
    state, word = {True: ("held", "held"), False: ("failed", "failed")}.get(
        condition["passed"], ("unknown", "not judged")
    )
    value, threshold = condition["value"], condition["threshold"]
    shares = any(x is not None and not float(x).is_integer() for x in (value, threshold))
    form = points if shares else number
    return {
        "state": state,
        "word": word,
        "name": r.in_words(page, str(condition["name"])),
        "value": form(value),
        "threshold": form(threshold),
        "why": minus(str(condition.get("why") or "")),
        "link": str(condition.get("evidence") or "#headline").removeprefix("#"),
    }


def _change(page: Page) -> str:
    """What was done, and what became of it on validation, in one sentence."""
    plan, flips = page["plan"], page.flips["change"]
    pairs = plan[["remedy", "simulator"]].drop_duplicates()
    shown = pairs.fillna("").astype("str").sort_values("simulator", kind="stable")
    named = zip(shown["remedy"], shown["simulator"], strict=True)
    names = [title(remedy) + (f" drawn by the simulator of {who}" if who else "") for remedy, who in named]
    treated = f"{count(plan['image_id'].nunique(), 'training photo was', 'training photos were')} also shown with "
    fixed, broken = (int((flips == kind).sum()) for kind in ("fixed", "broken"))
    became = f"of {count(len(flips), 'validation photo')}, {fixed:,} were fixed and {broken:,} broken"
    judged = "; no simulated photo is in validation or test" if plan["simulator"].notna().any() else ""
    return f"{treated}{' or '.join(names)}; {became}{judged}"


def _hero(page: Page) -> list[dict[str, Any]]:
    """The two or three figures that stand large: accuracy, the photos that the repair is meant for, slices."""
    rows = [row for row in r.parts(page) if row["what"] in ("all", "planned")]
    main = [row for row in rows if row["split"] == rows[0]["split"]] if rows else []
    if len(main) == 1 and page.changed:
        main += [row for row in r.parts(page) if row["what"] == "slice" and row["split"] == main[0]["split"]][:2]
    return [
        {**row, "name": f"{'Accuracy' if row['what'] == 'all' else row['name']}, {row['word'].lower()}"} for row in main
    ]
