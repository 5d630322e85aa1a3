"""What `nightshift monitor` does: rows and a bundle in; findings, history, the next labeling batch and a page out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.report.number_format import format_probability
from pipeline.serving.monitoring import labeling_batch, monitoring_history
from pipeline.serving.monitoring.monitoring_page import render_monitoring_page
from pipeline.serving.monitoring.prediction_rows import build_traffic, read_predictions
from pipeline.serving.monitoring.traffic_limits import (
    MonitoringLimits,
    check_conditions,
    parse_limits,
)
from pipeline.slices.tracking import traffic_comparison
from pipeline.slices.tracking.reference_profile import ReferenceProfile
from pipeline.slices.tracking.traffic_comparison import ArrivedTraffic
from pipeline.statistics.distribution_shift import ShiftEvidence
from pipeline.storage.artifact_store import (
    compute_key,
    hash_content,
    read_json,
    write_json,
    write_text,
)

BATCH_FILE_NAME, FINDINGS_FILE_NAME, PAGE_FILE_NAME = "batch.csv", "monitor.json", "index.html"
JsonObject = dict[str, Any]


@dataclass(frozen=True)
class _MonitoringInputs:
    """Readable rows, what they are compared with, and how many could not be read."""

    rows: pd.DataFrame
    traffic: ArrivedTraffic
    reference: ReferenceProfile
    unreadable_count: int


def _load_inputs(bundle: Path, paths: Sequence[Path]) -> _MonitoringInputs:
    reference = ReferenceProfile.load_bundle(bundle)
    every = read_predictions(paths)
    rows = every[every["decision"] != "error"].reset_index(drop=True)
    classes = [str(name) for name in read_json(bundle / "bundle.json")["classes"]]
    return _MonitoringInputs(
        rows,
        build_traffic(rows, reference, classes, str(paths[0])),
        reference,
        len(every) - len(rows),
    )


def _find_capture_range(rows: pd.DataFrame) -> JsonObject:
    """When the first and the last image were taken, as text; None where no row says."""
    known = (
        rows["captured_at"].dropna().astype(str)
        if "captured_at" in rows
        else pd.Series(dtype="str")
    )
    return {
        "taken_from": known.min() if len(known) else None,
        "taken_to": known.max() if len(known) else None,
    }


def _compute_novel_share(inputs: _MonitoringInputs) -> float | None:
    """The share of images that lie beyond everything known in any attribute."""
    table = inputs.traffic.table
    masks = [
        mask
        for name in traffic_comparison.list_shared_attributes(inputs.reference, inputs.traffic)
        for _, mask, _ in traffic_comparison.describe_unknown_values(name, inputs.reference, table)
    ]
    return float(pd.DataFrame(masks).any().mean()) if masks and len(table) else None


def _build_findings(inputs: _MonitoringInputs, limits: MonitoringLimits) -> JsonObject:
    decline = traffic_comparison.compare_share(
        inputs.reference, inputs.traffic, "declined", ShiftEvidence(min_units=limits.units)
    )
    found = traffic_comparison.compare_traffic(inputs.reference, inputs.traffic, limits, [decline])
    count = {
        "rows": len(inputs.rows) + inputs.unreadable_count,
        "unreadable": inputs.unreadable_count,
    }
    found |= {
        "champion": inputs.reference.run_id,
        "why": None,
        "decline": decline,
        "strangers": _compute_novel_share(inputs),
    }
    found |= count | _find_capture_range(inputs.rows)
    return found | {"conditions": check_conditions(found, limits)}


def monitor_traffic(
    bundle: Path, paths: Sequence[Path], out: Path, assignments: Sequence[str] = ()
) -> JsonObject:
    """Compare the rows of `nightshift predict` with the data of the model in `bundle`, and write `monitor.json`,
    `index.html`, `batch.csv` and a row of `history.csv` into `out`. Safe to repeat: the same rows are one row.

    assignments: `KEY=VALUE` over the conditions. Returns what `monitor.json` holds: that of `traffic.compare`, and
    champion, decline, strangers, rows, unreadable, taken_from, taken_to, conditions, batch. Raises `InputError`.
    """
    limits = parse_limits(assignments)
    given = _load_inputs(bundle, paths)
    found = _build_findings(given, limits)
    chosen = labeling_batch.choose_batch(given.rows, given.reference, given.traffic, limits.batch)
    out.mkdir(parents=True, exist_ok=True)
    key = compute_key(
        sorted(hash_content(path) for path in paths), hash_content(bundle / "bundle.json")
    )[:16]
    past = monitoring_history.add_history_row(out, monitoring_history.build_history_row(found, key))
    found["batch"] = len(chosen)
    write_text(out / BATCH_FILE_NAME, chosen.to_csv(index=False))
    write_json(out / FINDINGS_FILE_NAME, found)
    write_text(out / PAGE_FILE_NAME, render_monitoring_page(found, chosen, past))
    return found


def format_findings(findings: Mapping[str, Any]) -> list[str]:
    """The result for people, a line each."""
    when = (
        f", taken {findings['taken_from']} to {findings['taken_to']}"
        if findings["taken_from"]
        else ""
    )
    said = [
        f"{findings['images']:,} images of {findings['rows']:,} rows{when}; {findings['units']:,} units ({findings['basis']})",
        f"against champion {findings['champion']}: {findings['known']['training']:,} images of training, "
        f"{findings['known']['validation']:,} of validation",
    ]
    said += [
        f"  {_format_percent(r['share'])} are {r['words']} beyond anything known: {r['attribute']} {r['low']} to "
        f"{r['high']} (known: {r['where']}){_format_q_value(r)}"
        for r in findings["new"]
        if r["q"] is not None and r["q"] <= findings["alpha"]
    ]
    said += [
        f"  slice {r['slice']} ({r['rule']}): {_format_percent(r['share'])}, training {_format_percent(r['training'])}, "
        f"validation {_format_percent(r['validation'])}{_format_q_value(r)}"
        for r in findings["slices"]
    ]
    declined = findings["decline"]
    usual = _format_percent(declined["validation"])
    said.append(
        f"  declined: {_format_percent(declined['share'])}, validation {usual}{_format_q_value(declined)}"
    )
    said += [
        f"  {r['attribute']}: median {r['median']['arrived']}, training {r['median']['training']}, validation "
        f"{r['median']['validation']}, PSI {r['psi']:.2f}{_format_q_value(r)}"
        for r in findings["attributes"]
        if r["psi"] is not None
    ]
    said += (
        [f"  not in the rows, so not compared: {', '.join(findings['missing'])}"]
        if findings["missing"]
        else []
    )
    said += [
        f"{'ok    ' if item['passed'] else 'FAILED'} {item['words']}"
        for item in findings["conditions"]
    ]
    return [*said, f"next labeling batch: {findings['batch']:,} images"]


def _format_percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"


def _format_q_value(row: Mapping[str, Any]) -> str:
    return (
        f" (not tested: {row['reason']})"
        if row["q"] is None
        else f" (q {format_probability(row['q'])})"
    )
