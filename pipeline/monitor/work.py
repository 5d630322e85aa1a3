"""What `nightshift monitor` does: rows and a bundle in; findings, history, the next labelling batch and a page out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.evidence.drift import Evidence
from pipeline.monitor import batch, history
from pipeline.monitor.conditions import Conditions, conditions, judged
from pipeline.monitor.page import page
from pipeline.monitor.rows import read, traffic_of
from pipeline.sections.words import probability
from pipeline.slicing import traffic
from pipeline.slicing.reference import Reference
from pipeline.slicing.traffic import Traffic
from pipeline.store import digest, key_of, read_json, write_json, write_text

BATCH, FOUND, PAGE = "batch.csv", "monitor.json", "index.html"
Row = dict[str, Any]


@dataclass(frozen=True)
class _Given:
    """Readable rows, what they are compared with, and how many could not be read."""

    rows: pd.DataFrame
    traffic: Traffic
    reference: Reference
    unreadable: int


def _given(bundle: Path, paths: Sequence[Path]) -> _Given:
    reference = Reference.load(bundle)
    every = read(paths)
    rows = every[every["decision"] != "error"].reset_index(drop=True)
    classes = [str(name) for name in read_json(bundle / "bundle.json")["classes"]]
    return _Given(rows, traffic_of(rows, reference, classes, str(paths[0])), reference, len(every) - len(rows))


def _taken(rows: pd.DataFrame) -> Row:
    """When the first and the last photo were taken, as text; None where no row says."""
    known = rows["captured_at"].dropna().astype(str) if "captured_at" in rows else pd.Series(dtype="str")
    return {"taken_from": known.min() if len(known) else None, "taken_to": known.max() if len(known) else None}


def _strangers(given: _Given) -> float | None:
    """The share of photos that lie beyond everything known in any attribute."""
    table = given.traffic.table
    masks = [
        mask for name in traffic.compared(given.reference, given.traffic)
        for _, mask, _ in traffic.outside(name, given.reference, table)
    ]
    return float(pd.DataFrame(masks).any().mean()) if masks and len(table) else None


def _found(given: _Given, limits: Conditions) -> Row:
    decline = traffic.share_of(given.reference, given.traffic, "declined", Evidence(units=limits.units))
    found = traffic.compare(given.reference, given.traffic, limits, [decline])
    count = {"rows": len(given.rows) + given.unreadable, "unreadable": given.unreadable}
    found |= {"champion": given.reference.run_id, "why": None, "decline": decline, "strangers": _strangers(given)}
    found |= count | _taken(given.rows)
    return found | {"conditions": judged(found, limits)}


def monitor(bundle: Path, paths: Sequence[Path], out: Path, assignments: Sequence[str] = ()) -> Row:
    """Compare the rows of `nightshift predict` with the data of the model in `bundle`, and write `monitor.json`,
    `index.html`, `batch.csv` and a row of `history.csv` into `out`. Safe to repeat: the same rows are one row.

    assignments: `KEY=VALUE` over the conditions. Returns what `monitor.json` holds: that of `traffic.compare`, and
    champion, decline, strangers, rows, unreadable, taken_from, taken_to, conditions, batch. Raises `InputError`.
    """
    limits = conditions(assignments)
    given = _given(bundle, paths)
    found = _found(given, limits)
    chosen = batch.choose(given.rows, given.reference, given.traffic, limits.batch)
    out.mkdir(parents=True, exist_ok=True)
    key = key_of(sorted(digest(path) for path in paths), digest(bundle / "bundle.json"))[:16]
    past = history.add(out, history.row_of(found, key))
    found["batch"] = len(chosen)
    write_text(out / BATCH, chosen.to_csv(index=False))
    write_json(out / FOUND, found)
    write_text(out / PAGE, page(found, chosen, past))
    return found


def lines(found: Mapping[str, Any]) -> list[str]:
    """The result for people, a line each."""
    when = f", taken {found['taken_from']} to {found['taken_to']}" if found["taken_from"] else ""
    said = [
        f"{found['photos']:,} photos of {found['rows']:,} rows{when}; {found['units']:,} units ({found['basis']})",
        f"against champion {found['champion']}: {found['known']['training']:,} photos of training, "
        f"{found['known']['validation']:,} of validation",
    ]
    said += [f"  {_percent(r['share'])} are {r['words']} beyond anything known: {r['attribute']} {r['low']} to "
             f"{r['high']} (known: {r['where']}){_q(r)}"
             for r in found["new"] if r["q"] is not None and r["q"] <= found["alpha"]]
    said += [f"  slice {r['slice']} ({r['rule']}): {_percent(r['share'])}, training {_percent(r['training'])}, "
             f"validation {_percent(r['validation'])}{_q(r)}"
             for r in found["slices"]]
    declined = found["decline"]
    usual = _percent(declined["validation"])
    said.append(f"  declined: {_percent(declined['share'])}, validation {usual}{_q(declined)}")
    said += [f"  {r['attribute']}: median {r['median']['arrived']}, training {r['median']['training']}, validation "
             f"{r['median']['validation']}, PSI {r['psi']:.2f}{_q(r)}"
             for r in found["attributes"] if r["psi"] is not None]
    said += [f"  not in the rows, so not compared: {', '.join(found['missing'])}"] if found["missing"] else []
    said += [f"{'ok    ' if item['passed'] else 'FAILED'} {item['words']}" for item in found["conditions"]]
    return [*said, f"next labelling batch: {found['batch']:,} photos"]


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"


def _q(row: Mapping[str, Any]) -> str:
    return f" (not tested: {row['reason']})" if row["q"] is None else f" (q {probability(row['q'])})"
