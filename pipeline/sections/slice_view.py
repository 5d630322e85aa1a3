"""One slice as the report tells it: rule in words, evidence, dose-response curve, remedy, error before and after."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from pipeline import plugins
from pipeline.evidence.review import slice_key
from pipeline.sections import Page, plain
from pipeline.sections import charts as c
from pipeline.sections.words import minus, number, percent, title

_COUNTED = re.compile(
    r"(?s)(.*): ([\d,]+ of [\d,]+ (?:photos are misread|failures were (taken .*?)(?=, mostly |; |\.$)).*)"
)


def headline(words: str) -> tuple[str, str]:
    """The words of a slice in two: what its photos are, with when and where they were taken, and the counts (empty
    where there are none)."""
    match = _COUNTED.fullmatch(words)
    if not match:
        return words, ""
    return f"{match[1]}, {match[3]}" if match[3] else match[1], match[2]


def rule_words(rule: str) -> str:
    """A rule in numbers, with the signs set as type."""
    return minus(rule.replace("<=", "≤").replace(">=", "≥"))


def _plugin(remedy: str) -> ModuleType | None:
    try:
        return plugins.module("remedies", remedy)
    except (KeyError, ImportError):
        return None


def dosed(remedy: str, dose: float | None) -> str:
    """A remedy with its dose, in the plugin's own form ("exposure x3") where it has one."""
    form = getattr(_plugin(remedy), "FORMAT", None)
    if dose is None:
        return title(remedy)
    return minus(str(form).format(dose=dose)) if form else f"{title(remedy)} {number(dose)}"


def remedy_words(remedy: str | None) -> str:
    """The first paragraph of the remedy's own docstring; its name where it is not installed any more."""
    if not remedy:
        return ""
    text = inspect.getdoc(getattr(_plugin(remedy), remedy, None)) or title(remedy)
    return " ".join(text.split("\n\n")[0].split())


def _neutral(remedy: str) -> float | None:
    value = getattr(_plugin(remedy), "NEUTRAL", None)
    return None if value is None else float(value)


def dose_table(page: Page, name: str, remedy: str) -> pd.DataFrame:
    """Accuracy inside and outside a slice at each dose of a remedy, over the probed photos and their weights.

    Columns dose, inside, outside (shares; NaN where there is nobody); the dose that changes nothing is added.
    """
    probed, table = page["probed"], page["dose_response"].reset_index(drop=True)
    truth = page.flips["true"].reindex(probed["image_id"]).to_numpy()
    weight = probed["weight"].to_numpy(float)
    inside = probed["image_id"].isin(page.members.get(name, [])).to_numpy()
    answers = {
        float(table["dose"][k]): np.asarray(page["responses"][:, k]) for k in np.flatnonzero(table["remedy"] == remedy)
    }
    neutral = _neutral(remedy)
    if neutral is not None:
        answers.setdefault(float(neutral), page.flips["was"].reindex(probed["image_id"]).to_numpy())
    rows = [
        (dose, _mean(a == truth, weight, inside), _mean(a == truth, weight, ~inside))
        for dose, a in sorted(answers.items())
    ]
    return pd.DataFrame(rows, columns=["dose", "inside", "outside"])


def _mean(right: Any, weight: Any, where: Any) -> float:
    total = float(weight[where].sum())
    return float((right * weight)[where].sum() / total) if total else float("nan")


def turned(page: Page, name: str, remedy: str | None, dose: float | None) -> dict[str, int] | None:
    """What one intervention does to a slice's probed photos: misread, right, and of these repaired and broken (counts);
    None where it was not probed."""
    probed, table = page["probed"], page["dose_response"].reset_index(drop=True)
    column = np.flatnonzero((table["remedy"] == remedy) & (table["dose"] == dose))
    ids = probed["image_id"]
    inside = ids.isin(page.members.get(name, [])).to_numpy()
    if not len(column) or not inside.any():
        return None
    said = page.flips[["true", "was"]].reindex(ids[inside])
    right, after = (said["true"] == said["was"]).to_numpy(), page["responses"][inside, column[0]] == said["true"]
    counts = {"misread": ~right, "right": right, "repaired": ~right & after, "broken": right & ~after}
    return {what: int(np.sum(where)) for what, where in counts.items()}


def dose_chart(page: Page, name: str, remedy: str | None) -> dict[str, Any] | None:
    """The dose-response curve of a slice with its table; None where the remedy was not tried at two doses."""
    if remedy is None:
        return None
    table = dose_table(page, name, remedy)
    if len(table) < 2 or table["inside"].isna().all():
        return None
    neutral = _neutral(remedy)
    x = c.Axis(0, len(table) - 1, [(k, number(d)) for k, d in enumerate(table["dose"])], f"dose of {title(remedy)}")
    lines = [
        c.Line(words, [(k, y) for k, y in enumerate(table[key]) if y == y], tone)
        for words, key, tone in (("this slice", "inside", "a"), ("all others", "outside", "b"))
    ]
    marks = [c.Mark(k, "untouched") for k, d in enumerate(table["dose"]) if d == neutral]
    dose, inside = table.sort_values("inside", ascending=False)[["dose", "inside"]].to_numpy()[0].tolist()
    words = f"At dose {number(dose)} of {title(remedy)} the model gets {percent(inside)} of this slice right"
    low = float(np.nanmin(table[["inside", "outside"]].to_numpy()))
    svg = c.line_chart(lines, x, c.shares(low - 0.02), f"{words}.", marks)
    return {
        "svg": svg,
        "rows": [plain(row) for row in table.to_dict("records")],
        "words": words,
        "remedy": title(remedy),
    }


def errors(page: Page, name: str) -> dict[str, Any]:
    """Errors of a slice's validation photos: n, and shares before, in the control arm, and after."""
    table = page.flips.loc[page.members.get(name, [])]
    share = {
        k: float((table[k] != table["label"]).mean()) if len(table) else None for k in ("before", "control", "after")
    }
    return {"n": len(table), **share}


def remedy(page: Page, name: str) -> dict[str, Any]:
    """What is done about a slice: the policy's action, its correction at prediction time, and the plan in sum."""
    policy, plan = page["policy"], page["plan"]
    action = next((p["action"] for p in policy["prescriptions"] if p["slice"] == name), "")
    correction = next((c for c in policy["corrections"] if c["slice"] == name), None)
    mine = plan[plan["slice"] == name]
    return {
        "action": minus(action),
        "correction": correction,
        "plan": [_planned(str(r), s, rows) for (r, s), rows in mine.groupby(["remedy", "simulator"], dropna=False)],
    }


def _planned(name: str, simulator: Any, rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "remedy": name,
        "simulator": None if pd.isna(simulator) else str(simulator),
        "photos": int(rows["image_id"].nunique()),
        "dose_low": float(rows["dose_low"].min()),
        "dose_high": float(rows["dose_high"].max()),
        "probability": float(rows["probability"].mean()),
    }


def _doses(row: dict[str, Any]) -> str:
    low, high = row["dose_low"], row["dose_high"]
    return number(low) if low == high else f"{number(low)} to {number(high)}"


def causes(page: Page, name: str) -> list[dict[str, Any]]:
    """Every rival cause that was tried for a slice, best first as `explain` left them."""
    table = page["causes"]
    return [plain(row) for row in table[table["slice"] == name].to_dict("records")]


def reviewed(page: Page, row: Mapping[str, Any]) -> dict[str, str]:
    """What a reviewer of an earlier run decided about a slice of the same rule: `decision` and `note`, "" for none."""
    decided = page.reviews.get("slices", {}).get(slice_key(row["rule"]), {})
    return {"decision": str(decided.get("decision", "")), "note": str(decided.get("note", ""))}


def _track(page: Page, name: str) -> dict[str, Any] | None:
    """How the slice is known from earlier runs; None where there was none, or nothing is followed."""
    found = page.made.get("followed") or {}
    known = (track for track in found.get("slices", []) if track["slice"] == name)
    return next(known, None) if found.get("previous") else None


def view(page: Page, row: dict[str, Any], sheet: list[str]) -> dict[str, Any]:
    """Everything that the template of a confirmed slice draws from."""
    name = row["slice"]
    said = [page.answers[image_id] for image_id in sheet]
    alts = [f"{a['label']}, taken for {a['before']}" for a in said]
    photos = [{"img": page.photos.img(i, alt), "told": alt, **a} for i, alt, a in zip(sheet, alts, said, strict=True)]
    drawn = dict.fromkeys([row["cause"], row["remedy"]])
    charts = [chart for remedy in drawn if (chart := dose_chart(page, name, remedy))]
    rivals = [{**r, "dosed": dosed(r["remedy"], r["dose"])} for r in causes(page, name)]
    what, how_many = headline(row["words"])
    planned = page["plan"].loc[page["plan"]["slice"] == name, "remedy"]
    return {
        **row,
        "review": reviewed(page, row),
        "track": _track(page, name),
        "title": what,
        "how_many": how_many,
        "dosed": dosed(row["remedy"], row["dose"]) if row["remedy"] else "",
        "turned": turned(page, name, row["remedy"], row["dose"]),
        "rule_words": rule_words(row["rule"]),
        "applied_words": rule_words(row["applied"]),
        "photos": photos,
        "doses": _doses(row),
        "known": len(page.photos.known(page.members.get(name, []))),
        "members": len(page.members.get(name, [])),
        "misread": sum(page.answers[i]["change"] in ("fixed", "still wrong") for i in page.members.get(name, [])),
        "charts": charts,
        "rivals": rivals,
        "errors": errors(page, name),
        "repair": remedy(page, name),
        "remedy_words": remedy_words(next(iter(planned), row["remedy"] or row["cause"])),
        "named": [r for r in rivals if r["named"]],
    }
