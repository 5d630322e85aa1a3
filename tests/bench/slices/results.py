"""Writes `tests/bench/RESULTS.md`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.bench.sections import write_section
from tests.bench.slices.causes import DEVELOPMENT, HELD_OUT
from tests.bench.slices.figures import apart, exact, ranges, table
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


def _dosed(rows: list[dict[str, Any]]) -> list[tuple[bool, bool]]:
    """Of the settings named strictly right that have a dose: whether the range covers the planted one, and meets it."""
    found = []
    for row in (r for r in rows if r.get("named", {}).get("strict")):
        planted = ranges(row["cause"], int(" severe " in row["setting"]))
        if planted:
            low, high = row["named"]["doses"]
            found.append((low <= planted[0] and high >= planted[1], low <= planted[1] and high >= planted[0]))
    return found


def _named(rows: list[dict[str, Any]]) -> str:
    told = [r["named"] for r in rows if "named" in r]
    n, dosed = len(told), _dosed(rows)
    sizes = [len(t["set"]) for t in told if t["set"]]
    lines = [
        f"The finder whole, cross-fitted, on {n} settings; of each, the slice that holds most of the planted photos.",
        "",
        f"- confirmed: {exact(sum(t['status'] == 'confirmed' for t in told), n)}",
        f"- right cause named first, up to equivalence: {exact(sum(t['right'] for t in told), n)}",
        f"- strictly: {exact(sum(t['strict'] for t in told), n)}",
        f"- causes in a named set: {np.mean(sizes) if sizes else 0:.1f} on average",
        f"- dose range covers the planted one, where strictly right: {exact(sum(c for c, _ in dosed), len(dosed))}",
        f"- dose range meets the planted one, where strictly right: {exact(sum(m for _, m in dosed), len(dosed))}",
    ]
    return "\n".join(lines)


def _real(rows: list[dict[str, Any]]) -> str:
    found = [e for r in rows for e in r["real"]["excess"]]
    judged = [e for e in found if e["low"] is not None]
    above = sum(e["low"] > 0 for e in judged)
    return "\n".join(
        [
            f"Confirmed on three folds of five: {len(found)} slices; each frozen rule on the other two, never used.",
            "",
            f"- excess above 0: {exact(sum(e['value'] > 0 for e in judged), len(judged))}",
            f"- lower bound of the 95 % interval by group above 0: {exact(above, len(judged))}",
            f"- upper bound below 0: {exact(sum(e['high'] < 0 for e in judged), len(judged))}",
        ]
    )


def _each(rows: list[dict[str, Any]]) -> str:
    lines = []
    for r in rows:
        told = r.get("named", {})
        line = {"setting": r["setting"], "photos": r["photos"], "drop": f"{r['drop']:.0%}"}
        line |= {"first": f"{r['ours']['first']:.1f}", "best of three": f"{r['ours']['best']:.1f}"}
        line |= {"overlap": f"{told['overlap']:.2f}" if "overlap" in told else "", "status": told.get("status", "")}
        lines.append({**line, "cause": (" or ".join(told["set"]) or "unnamed") if told else ""})
    return table(lines)


def _bars(rows: list[dict[str, Any]], null: dict[str, Any], fast: Any) -> str:
    """Every figure to reach, with what was reached."""
    best, told = _methods(rows), [r["named"] for r in rows if "named" in r]
    peers = best.drop(columns="Nightshift")
    leader = str(peers.mean().idxmax())
    gap, low, high = apart(best["Nightshift"], best[leader])
    dosed = [covers for covers, _ in _dosed(rows)]
    judged = [e["low"] > 0 for r in rows for e in r["real"]["excess"] if e["low"] is not None]
    lines = [
        ("precision@10, best of three, mean", ">= .90", f"{best['Nightshift'].mean():.3f}"),
        ("settings with >= .8", ">= 95 %", f"{(best['Nightshift'] >= 0.8).mean():.1%}"),
        (f"above the best peer ({leader})", ">= .15, interval above 0", f"{gap:+.3f} ({low:+.3f} to {high:+.3f})"),
        ("right cause first, up to equivalence", ">= 90 %", exact(sum(t["right"] for t in told), len(told))),
        ("dose range covers the planted one", ">= 80 %", exact(sum(dosed), len(dosed))),
        *((f"null draws ({k}), any confirmed", "<= 5 %", exact(v["confirmed"], v["draws"])) for k, v in null.items()),
        ("confirmed slices that are real", ">= 95 %", exact(sum(judged), len(judged))),
    ]
    if fast and all(v[0] for v in fast.values()):
        (ours, *_), (theirs, *_) = fast.values()
        more = "more than " if any("stopped" in k for k in fast) else ""
        lines.append(("50,000 x 512, times faster than Domino", ">= 5", f"{more}{theirs / ours:.1f}"))
    return table([{"figure": a, "to reach": b, "reached": c} for a, b, c in lines])


def _part(name: str, rows: list[dict[str, Any]]) -> list[str]:
    """The figures of one half of the causes."""
    text = f"{len(rows)} settings, mean prevalence {np.mean([r['prevalence'] for r in rows]):.2f}."
    parts = [f"### {name}", text, _precision(rows)]
    return [*parts, _named(rows)] if any("named" in r for r in rows) else parts


def write_results(
    path: Path, rows: list[dict[str, Any]], null: dict[str, Any], fast: Any, run: tuple[str, str]
) -> None:
    """Everything measured, with the date and the command."""
    which, command = run
    parts = [f"{time.strftime('%Y-%m-%d')}, `{command}`: {len(rows)} valid settings of the causes {which}."]
    parts += [f"Development: {', '.join(DEVELOPMENT)}. Held out: {', '.join(HELD_OUT)}."]
    if rows:
        parts += ["### Figures to reach", _bars(rows, null, fast)]
        parts += ["### Confirmed slices that are real", _real(rows)]
    for name, causes in (("Development causes", DEVELOPMENT), ("Held-out causes", HELD_OUT)):
        part = [r for r in rows if r["cause"] in causes]
        parts += _part(name, part) if part else []
    if fast:
        head = ("CPU seconds", "peak MB", "of these the arrays")
        lines = [{"method": k, **dict(zip(head, v, strict=True))} for k, v in fast.items()]
        parts += ["### At 50,000 x 512 with 10 classes, one thread", table(lines)]
    parts += ["### Every setting", _each(rows)] if rows else []
    write_section(path, "Slices", "\n\n".join(parts))
