"""A run's result on the page of the GitHub Actions job that made it."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.engine.progress_reporting import log_line
from pipeline.engine.run_publishing import RunOutcome
from pipeline.report.exports.markdown_summary import compose_markdown

STEP_SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
"""Environment variable of GitHub Actions: the file whose Markdown the job's page shows."""


def append_step_summary(outcome: RunOutcome) -> None:
    """Append a run's result to the job's page if there is one; a failure is logged.

    Args:
        outcome: the run's outcome; one without a report adds nothing.
    """
    path = os.environ.get(STEP_SUMMARY_VARIABLE)
    if not path or outcome.report_path is None:
        return
    try:
        # The job's page cannot show pictures that lie on the runner.
        text = compose_markdown(outcome.run.load_artifact("summary"))
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except Exception as error:  # a page about the run must not fail the run
        log_line(f"{STEP_SUMMARY_VARIABLE}: not written: {type(error).__name__}: {error}")
