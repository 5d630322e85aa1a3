"""The report of a run in the folder of reports, the page of all runs, and a run in one row."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.contracts import InputError
from pipeline.storage import artifact_store
from pipeline.storage.artifact_store import RunFolder


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        run: the run.
        report_path: its published page, or None if it made no report.
        has_passed: whether every condition of the gate holds.
        headline: the verdict in one line.
        data_faults: faults of the data that make the figures untrue, one line each.
    """

    run: RunFolder
    report_path: Path | None
    has_passed: bool
    headline: str = ""
    data_faults: tuple[str, ...] = ()


def _load_summary(run: RunFolder) -> dict[str, Any] | None:
    """Return the summary of a run, or None if it has none or a damaged one."""
    if not run.get_artifact_path("summary").is_file():
        return None
    try:
        return dict(run.load_artifact("summary"))
    except InputError:
        return None


def summarize_run(run: RunFolder) -> dict[str, Any]:
    """Return a run as a row of a listing.

    Returns:
        `run`; `state` (promoted, not promoted, nothing to promote, or the number of finished
        stages); `slices`: number of confirmed slices; `followed`: followed slices by state; `why`.
    """
    from pipeline.report.sentences.gate_sentences import Headline, split_headline
    from pipeline.report.sentences.number_format import count_slice_states

    summary = run.load_artifact("summary") if run.get_artifact_path("summary").is_file() else {}
    stage_count = len(artifact_store.list_finished_stages(run))
    headline = Headline(f"{stage_count} stages done", "")
    if verdict := summary.get("verdict"):
        headline = split_headline(verdict["headline"], verdict["outcome"], verdict["promoted"])
    statuses = [item.get("status") for item in summary.get("slices", [])]
    return {
        "run": run.run_id,
        "state": headline.state,
        "slices": statuses.count("confirmed"),
        "followed": count_slice_states(summary.get("followed", [])),
        "why": headline.detail,
    }


def publish_report(run: RunFolder, reports_folder: Path) -> Path:
    """Copy a run's page, tables and summary into `reports/<run_id>/`, and return the page's path.

    The page of all runs is rendered again.
    """
    folder = reports_folder / run.run_id
    shutil.copytree(run.get_artifact_path("html"), folder, dirs_exist_ok=True)
    summary = run.load_artifact("summary")
    artifact_store.write_json(run.path / "summary.json", summary)
    artifact_store.write_json(folder / "summary.json", summary)
    publish_runs_index(run.path.parent, reports_folder)
    return folder / "index.html"


def publish_runs_index(runs_folder: Path, reports_folder: Path) -> None:
    """Render the page of all runs."""
    from pipeline.report.runs_index import render_runs_index

    summaries = []
    for run in artifact_store.list_runs(runs_folder):
        summary = _load_summary(run)
        if summary is not None:
            summaries.append(summary)
    artifact_store.write_text(reports_folder / "index.html", render_runs_index(summaries))


def publish_outcome(run: RunFolder, reports_folder: Path) -> RunOutcome:
    """Return the outcome of a run as its folder has it, and publish its report if there is one."""
    from pipeline.report.sentences.gate_sentences import compose_headline

    report_path = None
    if run.get_artifact_path("summary").is_file():
        report_path = publish_report(run, reports_folder)
    if not run.get_artifact_path("verdict").is_file():
        return RunOutcome(run, report_path, has_passed=True)
    verdict = run.load_artifact("verdict")
    headline = compose_headline(verdict).text
    summary = _load_summary(run) or {}
    data_faults = tuple(summary.get("verdict", {}).get("data_faults", ()))
    return RunOutcome(run, report_path, bool(verdict["promoted"]), headline, data_faults)
