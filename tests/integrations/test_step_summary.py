from pathlib import Path

import pytest

from pipeline.engine.run_publishing import RunOutcome
from pipeline.integrations.step_summary import STEP_SUMMARY_VARIABLE, append_step_summary
from pipeline.report.run_summary import build_summary
from pipeline.storage import artifact_store
from pipeline.storage.artifact_store import RunFolder
from tests.factory import planted
from tests.report.conftest import build_page


@pytest.fixture
def outcome(tmp_path: Path) -> RunOutcome:
    run = RunFolder.open_or_create(tmp_path / "r1")
    (run.path / "report").mkdir()
    summary = build_summary(build_page(planted()))
    artifact_store.write_json(run.get_artifact_path("summary"), summary)
    return RunOutcome(run, tmp_path / "reports" / "r1" / "index.html", has_passed=True)


def test_the_result_is_appended_to_the_page_of_the_job(
    outcome: RunOutcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "step.md"
    path.write_text("earlier\n")
    monkeypatch.setenv(STEP_SUMMARY_VARIABLE, str(path))
    append_step_summary(outcome)
    text = path.read_text()
    assert text.startswith("earlier\n")
    assert "Accuracy on the test set" in text
    assert "](" not in text, "the job's page has no files beside it"


def test_a_place_that_cannot_be_written_does_not_fail_the_run(
    outcome: RunOutcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STEP_SUMMARY_VARIABLE, str(tmp_path))
    append_step_summary(outcome)
    monkeypatch.delenv(STEP_SUMMARY_VARIABLE)
    append_step_summary(outcome)
    assert not list(tmp_path.glob("*.md"))
