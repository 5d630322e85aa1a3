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
    names = [n for n in PEERS if all(n in r["peers"] for r in rows)]  # a peer that was absent for some is left out
    return pd.DataFrame(ours | {n: [max(r["peers"][n]) for r in rows] for n in names})


def _precision(rows: list[dict[str, Any]]) -> str:
    best = _methods(rows)
    lines = []
    for name in best:
        first = [r["ours"]["first"] if name == "Nightshift" else r["peers"][name][0] for r in rows]
        line = {"method": name, "first slice": f"{np.mean(first):.2f}", "best of three": f"{best[name].mean():.2f}"}
        line["settings with >= .8"] = f"{(best[name] >= 0.8).mean():.0%}"
        if name != "Nightshift":
            gap, low, high = apart(best["Nightshift"], best[name])
            line["Nightshift less it"] = f"{gap:+.2f} ({low:+.2f} to {high:+.2f})"
        lines.append({**dict.fromkeys(["Nightshift less it"], ""), **line})
    order = ["method", "first slice", "best of three", "settings with >= .8", "Nightshift less it"]
    return table([{k: line[k] for k in order} for line in lines])


def _named(rows: list[dict[str, Any]]) -> str:
    told = [r["named"] for r in rows if "named" in r]
    n, dosed = len(told), [t["covers"] for t in told if t.get("covers") is not None]
    sizes = [len(t["set"]) for t in told if t["set"]]
    lines = [
        f"The finder whole, cross-fitted, on {n} settings; of each, the slice that holds most of the planted photos.",
        "",
        f"- confirmed: {exact(sum(t['status'] == 'confirmed' for t in told), n)}",
        f"- right cause named first, up to equivalence: {exact(sum(t['right'] for t in told), n)}",
        f"- strictly: {exact(sum(t['strict'] for t in told), n)}",
        f"- causes in a named set: {np.mean(sizes) if sizes else 0:.1f} on average",
        f"- dose range meets the planted one, where strictly right: {exact(sum(dosed), len(dosed))}",
    ]
    return "\n".join(lines)


def _each(rows: list[dict[str, Any]]) -> str:
    lines = []
    for r in rows:
        told = r.get("named", {})
        line = {"setting": r["setting"], "photos": r["photos"], "drop": f"{r['drop']:.0%}"}
        line |= {"first": f"{r['ours']['first']:.1f}", "best of three": f"{r['ours']['best']:.1f}"}
        line |= {"overlap": f"{told['overlap']:.2f}" if "overlap" in told else "", "status": told.get("status", "")}
        lines.append({**line, "cause": (" or ".join(told["set"]) or "unnamed") if told else ""})
    return table(lines)


def write_results(
    path: Path, rows: list[dict[str, Any]], null: dict[str, Any], fast: Any, run: tuple[str, str]
) -> None:
    """Everything measured, with the date and the command."""
    which, command = run
    parts = [f"{time.strftime('%Y-%m-%d')}, `{command}`: {len(rows)} valid settings of the causes {which}."]
    parts += [f"Development: {', '.join(DEVELOPMENT)}. Held out: {', '.join(HELD_OUT)}.", "### Precision at ten", ""]
    if rows:
        parts += [f"Mean prevalence {np.mean([r['prevalence'] for r in rows]):.2f}.", _precision(rows)]
    if any("named" in r for r in rows):
        parts += ["### Causes", _named(rows)]
    if null["draws"]:
        parts += [
            "### Null draws",
            f"Something confirmed in {exact(null['confirmed'], null['draws'])} of independent draws.",
        ]
    if fast:
        lines = [{"method": k, "seconds": v[0], "peak MB": v[1], "of these the arrays": v[2]} for k, v in fast.items()]
        parts += ["### At 50,000 x 512 with 10 classes, one thread", table(lines)]
    parts += ["### Every setting", _each(rows)] if rows else []
    write_section(path, "Slices", "\n\n".join(parts))
