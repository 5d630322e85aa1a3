"""The work of `nightshift monitor`: prediction rows and a bundle in, findings and a page out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.domain.statuses import Decision
from pipeline.report.sentences.traffic_sentences import add_drift_texts
from pipeline.serving.monitoring.labeling_batch import choose_batch
from pipeline.serving.monitoring.monitoring_history import add_history_row, build_history_row
from pipeline.serving.monitoring.monitoring_page import render_monitoring_page
from pipeline.serving.monitoring.prediction_rows import build_traffic, read_predictions
from pipeline.serving.monitoring.traffic_limits import (
    MonitoringLimits,
    check_conditions,
    parse_limits,
)
from pipeline.slices.tracking.novel_values import flag_novel_values
from pipeline.slices.tracking.reference_profile import ReferenceProfile
from pipeline.slices.tracking.traffic_comparison import (
    ArrivedTraffic,
    compare_share,
    compare_traffic,
    list_shared_attributes,
)
from pipeline.statistics.distribution_shift import ShiftEvidence
from pipeline.storage.artifact_store import compute_key, hash_content, write_json, write_text
from pipeline.storage.csv_tables import format_csv

BATCH_FILE_NAME = "batch.csv"
FINDINGS_FILE_NAME = "monitor.json"
PAGE_FILE_NAME = "index.html"
# Characters of a row's key: enough to tell the rows of a history apart.
_KEY_LENGTH = 16
JsonObject = dict[str, Any]


@dataclass(frozen=True)
class _MonitoringInputs:
    """The rows and the data of their model.

    Attributes:
        rows: rows of images that could be read.
        traffic: the traffic of these rows.
        reference: the data of the model.
        unreadable_count: number of images that could not be read.
    """

    rows: pd.DataFrame
    traffic: ArrivedTraffic
    reference: ReferenceProfile
    unreadable_count: int


def _load_inputs(bundle: Path, paths: Sequence[Path]) -> _MonitoringInputs:
    reference = ReferenceProfile.load_bundle(bundle)
    all_rows = read_predictions(paths)
    rows = all_rows[all_rows["decision"] != Decision.ERROR].reset_index(drop=True)
    traffic = build_traffic(rows, reference, str(paths[0]))
    return _MonitoringInputs(rows, traffic, reference, len(all_rows) - len(rows))


def _find_capture_range(rows: pd.DataFrame) -> JsonObject:
    """Return the first and the last capture time as text, None if unknown."""
    known = rows.get("captured_at", pd.Series(dtype="str")).dropna().astype(str)
    if known.empty:
        return {"taken_from": None, "taken_to": None}
    return {"taken_from": known.min(), "taken_to": known.max()}


def _compute_novel_share(inputs: _MonitoringInputs) -> float | None:
    """Return the share of images with a value beyond everything known, in any attribute."""
    table = inputs.traffic.table
    names = list_shared_attributes(inputs.reference, inputs.traffic)
    if table.empty or not names:
        return None
    is_novel = np.zeros(len(table), bool)
    for name in names:
        for _, mask in flag_novel_values(name, inputs.reference, table):
            is_novel |= mask
    return float(is_novel.mean())


def _build_findings(inputs: _MonitoringInputs, limits: MonitoringLimits) -> JsonObject:
    evidence = ShiftEvidence(min_units=limits.units)
    decline = compare_share(inputs.reference, inputs.traffic, "declined", evidence)
    findings = compare_traffic(inputs.reference, inputs.traffic, limits, [decline])
    findings |= {
        "champion": inputs.reference.run_id,
        "reason": None,
        "decline": decline,
        "novel_share": _compute_novel_share(inputs),
        "rows": len(inputs.rows) + inputs.unreadable_count,
        "unreadable": inputs.unreadable_count,
    }
    findings |= _find_capture_range(inputs.rows)
    return findings | {"conditions": check_conditions(findings, limits)}


def monitor_traffic(
    bundle: Path, paths: Sequence[Path], out: Path, assignments: Sequence[str] = ()
) -> JsonObject:
    """Compare the rows of `nightshift predict` with the data of their model.

    It writes `monitor.json`, `index.html`, `batch.csv` and a row of `history.csv`. It is safe to
    repeat: the same rows make the same row of the history.

    Args:
        bundle: folder of the model's bundle.
        paths: files that `nightshift predict` wrote.
        out: folder of the results and of the history.
        assignments: limits other than the defaults, as `KEY=VALUE`.

    Returns:
        The content of `monitor.json`: the findings of `compare_traffic`, and champion, decline,
        novel_share, rows, unreadable, taken_from, taken_to, conditions and batch.

    Raises:
        InputError: a file, a limit or the bundle cannot be used.
    """
    limits = parse_limits(assignments)
    inputs = _load_inputs(bundle, paths)
    findings = _build_findings(inputs, limits)
    batch = choose_batch(inputs.rows, inputs.reference, inputs.traffic, limits.batch)
    out.mkdir(parents=True, exist_ok=True)
    row_hashes = sorted(hash_content(path) for path in paths)
    key = compute_key(row_hashes, hash_content(bundle / "bundle.json"))[:_KEY_LENGTH]
    history = add_history_row(out, build_history_row(findings, key))
    findings = add_drift_texts(findings) | {"batch": len(batch)}
    write_text(out / BATCH_FILE_NAME, format_csv(batch))
    write_json(out / FINDINGS_FILE_NAME, findings)
    write_text(out / PAGE_FILE_NAME, render_monitoring_page(findings, batch, history))
    return findings
