from pathlib import Path
from typing import Any

from pipeline.domain.statuses import ComparisonOutcome
from pipeline.engine.run_publishing import (
    publish_outcome,
    publish_report,
    publish_runs_index,
    summarize_run,
)
from pipeline.storage.artifact_store import RunFolder

HEADLINE = "not promoted: there is no test image to prove it on"
VERDICT = {"promoted": False, "outcome": ComparisonOutcome.NO_TEST}


def _make_run(folder: Path, name: str, summary: dict[str, Any] | None = None) -> RunFolder:
    run = RunFolder.open_or_create(folder / "runs" / name)
    if summary is not None:
        page = folder / f"page-{name}"
        page.mkdir()
        (page / "index.html").write_text(f"<p>{name}</p>")
        run.save_stage("report", {"html": page, "summary": summary}, {})
    return run


def _build_summary(run_id: str) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "verdict": VERDICT | {"headline": HEADLINE},
        "slices": [{"status": "confirmed"}, {"status": "uncertain"}],
        "followed": [{"state": "open"}, {"state": "open"}, {"state": "closed"}],
    }


def test_a_run_is_one_row(tmp_path: Path) -> None:
    assert summarize_run(_make_run(tmp_path, "new")) == {
        "run": "new",
        "state": "0 stages done",
        "slices": 0,
        "followed": "",
        "why": "",
    }
    assert summarize_run(_make_run(tmp_path, "r1", _build_summary("r1"))) == {
        "run": "r1",
        "state": "not promoted",
        "slices": 1,
        "followed": "2 open, 1 closed",
        "why": "there is no test image to prove it on",
    }


def test_a_run_without_a_report_publishes_nothing(tmp_path: Path) -> None:
    outcome = publish_outcome(_make_run(tmp_path, "new"), tmp_path / "reports")
    assert (outcome.report_path, outcome.has_passed, outcome.headline) == (None, True, "")
    assert not (tmp_path / "reports").exists()


def test_a_failed_condition_is_the_outcome(tmp_path: Path) -> None:
    run = _make_run(tmp_path, "r1")
    run.save_stage("promote", {"verdict": VERDICT}, {})
    outcome = publish_outcome(run, tmp_path / "reports")
    assert (outcome.has_passed, outcome.headline) == (False, HEADLINE)


def test_a_damaged_summary_is_left_out_of_the_page_of_all_runs(tmp_path: Path) -> None:
    run = _make_run(tmp_path, "r1", _build_summary("r1"))
    run.get_artifact_path("summary").write_text("{")
    (tmp_path / "reports").mkdir()
    publish_runs_index(tmp_path / "runs", tmp_path / "reports")
    assert "r1" not in (tmp_path / "reports" / "index.html").read_text()


def test_a_printed_copy_of_an_earlier_page_is_removed(tmp_path: Path) -> None:
    run = _make_run(tmp_path, "r1", _build_summary("r1"))
    page = publish_report(run, tmp_path / "reports")
    printed, notes = page.with_name("report.pdf"), page.with_name("notes.txt")
    for path in (printed, notes):
        path.write_text("x")
    publish_report(run, tmp_path / "reports")
    assert not printed.exists()
    assert notes.exists(), "a file of the user"
