"""Error rates with and without suspects: pipeline/report/figures/suspicion_rows.py."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.report.figures.suspicion_rows import build_suspicion_rows
from pipeline.report.report_page import ReportPage
from tests.report.conftest import build_page


def test_suspects_are_left_out_of_the_second_figure(page: ReportPage) -> None:
    everyone = build_suspicion_rows(page)[0]
    assert everyone["suspects"] == 1, "the other suspect is a training image"
    wrong = int(page.is_misclassified.sum())
    suspect = page["label_issues"]["image_id"].iloc[0]
    rest = wrong - int(page.is_misclassified[suspect])
    assert everyone["all_labels"]["before"] == pytest.approx(wrong / len(page.flips))
    assert everyone["without_suspects"]["before"] == pytest.approx(rest / (len(page.flips) - 1))
    assert len(build_suspicion_rows(page)) == 1 + len(page.confirmed_slices)


def test_without_suspects_there_is_no_table(made: dict[str, Any]) -> None:
    train_only = made | {"label_issues": made["label_issues"].iloc[1:]}
    assert build_suspicion_rows(build_page(train_only)) == []
