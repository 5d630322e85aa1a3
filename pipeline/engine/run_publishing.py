"""The report of a run in the folder of reports, the page of all runs, and a run in one row."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.contracts import InputError
from pipeline.engine import published_pages
from pipeline.storage import artifact_store
from pipeline.storage.artifact_store import RunFolder
from pipeline.storage.atomic_files import TEMPORARY_PREFIX

PAGE_FILE, MARKDOWN_FILE, PRINTED_FILE = "index.html", "summary.md", "report.pdf"


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


class _ListedVerdict(BaseModel):
    headline: str = ""
    outcome: str = ""
    promoted: bool = False


class _ListedSummary(BaseModel):
    """What a listing shows of `summary.json`."""

    verdict: _ListedVerdict | None = None
    slices: list[dict[str, Any]] = []
    followed: list[dict[str, Any]] = []


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

    Raises:
        InputError: its summary is damaged.
    """
    from pipeline.report.sentences.gate_sentences import Headline, split_headline
    from pipeline.report.sentences.number_format import count_slice_states

    path = run.get_artifact_path("summary")
    try:
        summary = _ListedSummary.model_validate(
            run.load_artifact("summary") if path.is_file() else {}
        )
        followed = count_slice_states(summary.followed)
    except (ValidationError, LookupError, TypeError) as error:
        raise InputError(
            f"{path}: not the summary of a run; render it again: nightshift report {run.run_id}"
        ) from error
    stage_count = len(artifact_store.list_finished_stages(run))
    headline = Headline(f"{stage_count} stages done", "")
    if verdict := summary.verdict:
        headline = split_headline(verdict.headline, verdict.outcome, verdict.promoted)
    statuses = [item.get("status") for item in summary.slices]
    return {
        "run": run.run_id,
        "state": headline.state,
        "slices": statuses.count("confirmed"),
        "followed": followed,
        "why": headline.detail,
    }


def list_run_rows(
    runs_folder: Path, reasons: Mapping[str, str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return all readable runs as rows, newest first, and one line on each other run.

    Args:
        runs_folder: folder of all runs.
        reasons: why a run is never pruned, by run id.
    """
    runs, problems = artifact_store.scan_runs(runs_folder)
    rows = []
    for run in runs:
        try:
            rows.append(summarize_run(run) | {"kept": reasons.get(run.run_id, "")})
        except InputError as error:
            problems.append(str(error))
    return rows, problems


def publish_report(run: RunFolder, reports_folder: Path) -> Path:
    """Copy a run's page, tables and summary into `reports/<run_id>/`, and return the page's path.

    Each file is replaced as a whole, the page last. A printed copy of an earlier page is removed.
    The page of all runs is rendered again.
    """
    folder = reports_folder / run.run_id
    is_new = not folder.exists()
    summary = run.load_artifact("summary")
    published_pages.register_reports_folder(run.path.parent, reports_folder)
    with artifact_store.lock_file(reports_folder / PAGE_FILE):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            artifact_store.write_json(folder / published_pages.SUMMARY_FILE, summary)
            source = run.get_artifact_path("html")
            (folder / PRINTED_FILE).unlink(missing_ok=True)
            for path in sorted(source.iterdir(), key=lambda path: path.name == PAGE_FILE):
                _replace_copy(path, folder / path.name)
        except BaseException:
            if is_new:
                published_pages.remove_page(folder)
            raise
        artifact_store.write_json(run.path / published_pages.SUMMARY_FILE, summary)
        _render_runs_index(run.path.parent, reports_folder)
    return folder / PAGE_FILE


def _replace_copy(source: Path, target: Path) -> None:
    """Copy a file aside, and rename it into the place of `target`."""
    unfinished = target.with_name(f"{TEMPORARY_PREFIX}{target.name}.{os.getpid()}")
    try:
        shutil.copyfile(source, unfinished)
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def publish_runs_index(runs_folder: Path, reports_folder: Path) -> None:
    """Render the page of all runs."""
    with artifact_store.lock_file(reports_folder / PAGE_FILE):
        _render_runs_index(runs_folder, reports_folder)


def _render_runs_index(runs_folder: Path, reports_folder: Path) -> None:
    from pipeline.report.runs_index import render_runs_index

    summaries, pictures = [], {}
    for run in artifact_store.list_runs(runs_folder):
        summary = _load_summary(run)
        if summary is not None:
            summaries.append(summary)
            pictures[run.run_id] = [
                path.name for path in (reports_folder / run.run_id).glob("*.png")
            ]
    artifact_store.write_text(reports_folder / PAGE_FILE, render_runs_index(summaries, pictures))


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
