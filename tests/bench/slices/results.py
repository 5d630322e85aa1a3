"""Writes `tests/bench/RESULTS.md`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.bench.sections import write_section
from tests.bench.slices.causes import DEVELOPMENT, HELD_OUT
from tests.bench.slices.figures import apart, exact, table
from tests.bench.slices.peers import PEERS


def _methods(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The best of the first three slices of each method, by setting."""
    ours = {"Nightshift": [r["ours"]["best"] for r in rows]}
    names = [
        n for n in PEERS if all(n in r["peers"] for r in rows)
    ]  # a peer that was absent for some is left out
    return pd.DataFrame(ours | {n: [max(r["peers"][n]) for r in rows] for n in names})


def _precision(rows: list[dict[str, Any]]) -> str:
    best = _methods(rows)
    lines = []
    for name in best:
        first = [r["ours"]["first"] if name == "Nightshift" else r["peers"][name][0] for r in rows]
        line = {
            "method": name,
            "first slice": f"{np.mean(first):.2f}",
            "best of three": f"{best[name].mean():.2f}",
        }
        line["settings with >= .8"] = f"{(best[name] >= 0.8).mean():.0%}"
        if name != "Nightshift":
            gap, low, high = apart(best["Nightshift"], best[name])
            line["Nightshift less it"] = f"{gap:+.2f} ({low:+.2f} to {high:+.2f})"
        lines.append({**dict.fromkeys(["Nightshift less it"], ""), **line})
    order = ["method", "first slice", "best of three", "settings with >= .8", "Nightshift less it"]
    return table([{k: line[k] for k in order} for line in lines])


def _real(rows: list[dict[str, Any]]) -> str:
    found = [e for r in rows for e in r["real"]["excess"]]
    judged = [e for e in found if e["low"] is not None]
    above = sum(e["low"] > 0 for e in judged)
    return "\n".join(
        [
            f"Confirmed on three folds of five: {len(found)} slices; each frozen rule on the other "
            "two, never used.",
            "",
            f"- excess above 0: {exact(sum(e['value'] > 0 for e in judged), len(judged))}",
            f"- lower bound of the 95 % interval by group above 0: {exact(above, len(judged))}",
            f"- upper bound below 0: {exact(sum(e['high'] < 0 for e in judged), len(judged))}",
        ]
    )


def _each(rows: list[dict[str, Any]]) -> str:
    lines = []
    for r in rows:
        line = {"setting": r["setting"], "images": r["images"], "drop": f"{r['drop']:.0%}"}
        lines.append(
            {
                **line,
                "first": f"{r['ours']['first']:.1f}",
                "best of three": f"{r['ours']['best']:.1f}",
            }
        )
    return table(lines)


RESULTS = Path(__file__).parents[1] / "RESULTS.md"
WHY = {
    "precise": "hours and cameras, which mean nothing here, gather as much as a cause of few groups; tilt is two-sided",
    "ahead": "on these images the best peers, given the same attributes, are near the ceiling themselves",
    "named": "where a rule holds few of the planted images, most of what fails there is natural, and nothing is named",
    "dosed": "of few images the nearest strength is uncertain, and tilt cannot tell a turn by 152 degrees from one by -28",
    "null": "",
    "real": "nearly all have an excess above 0 there, but two folds of five hold few groups to bound small ones by",
    "fast": "",
}
Bar = tuple[str, str, float, float, str, str]  # figure, why, bar, value, value in words, direction


def bar(line: Bar) -> dict[str, Any]:
    """A line of the table.

    The figure, the bar, what was reached, by how much it is missed, and why.
    """
    figure, why, least, value, words, sign = line
    short = least - value if sign == ">=" else value - least
    missed = "" if short <= 0 else f"{short:.3g}"
    reach = f"{sign} {least:g}"
    return {
        "figure": figure,
        "to reach": reach,
        "reached": words,
        "missed by": missed,
        "why": WHY[why] if missed else "",
    }


def share(figure: str, why: str, least: float, hits: list[bool], sign: str = ">=") -> list[Bar]:
    """The bar of a share, none where there is nothing to count."""
    return (
        [(figure, why, least, float(np.mean(hits)), exact(sum(hits), len(hits)), sign)]
        if hits
        else []
    )


def _bars(rows: list[dict[str, Any]]) -> str:
    """Every figure to reach, with what was reached."""
    best = _methods(rows)
    ours, peers = best["Nightshift"], best.drop(columns="Nightshift")
    leader = str(peers.mean().idxmax())
    gap, low, high = apart(ours, best[leader])
    judged = [e["low"] > 0 for r in rows for e in r["real"]["excess"] if e["low"] is not None]
    gained = f"{gap:+.3f} ({low:+.3f} to {high:+.3f})"
    lines: list[Bar] = [
        (
            "precision@10, best of three, mean",
            "precise",
            0.9,
            float(ours.mean()),
            f"{ours.mean():.3f}",
            ">=",
        ),
        *share("settings with precision@10 of .8", "precise", 0.95, (ours >= 0.8).tolist()),
        (f"above the best peer ({leader}), interval above 0", "ahead", 0.15, gap, gained, ">="),
        *share("confirmed slices that are real", "real", 0.95, judged),
    ]
    return table([bar(line) for line in lines])


def _part(name: str, rows: list[dict[str, Any]]) -> list[str]:
    """The figures of one half of the causes."""
    text = f"{len(rows)} settings, mean prevalence {np.mean([r['prevalence'] for r in rows]):.2f}."
    return [f"### {name}", text, _precision(rows)]


def write_results(path: Path, rows: list[dict[str, Any]], run: tuple[str, str]) -> None:
    """Everything measured, with the date and the command."""
    which, command = run
    parts = [
        f"{time.strftime('%Y-%m-%d')}, `{command}`: {len(rows)} valid settings of the causes "
        f"{which}."
    ]
    parts += [f"Development: {', '.join(DEVELOPMENT)}. Held out: {', '.join(HELD_OUT)}."]
    parts += ["Taken in an order drawn by seed, whatever came out, as far as the time went."]
    if rows:
        parts += ["### Figures to reach", _bars(rows)]
        parts += ["### Confirmed slices that are real", _real(rows)]
    for name, causes in (("Development causes", DEVELOPMENT), ("Held-out causes", HELD_OUT)):
        part = [r for r in rows if r["cause"] in causes]
        parts += _part(name, part) if part else []
    parts += ["### Every setting", _each(rows)] if rows else []
    write_section(path, "Slices", "\n\n".join(parts))
