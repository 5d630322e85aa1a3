"""What the plain verdict is made from: pipeline/report/verdict_facts.py."""

from __future__ import annotations

from typing import Any

from pipeline.report.report_page import ReportPage
from pipeline.report.run_summary import build_summary
from pipeline.report.verdict_facts import (
    STRIP_IMAGE_COUNT,
    choose_strip_images,
    gather_verdict_facts,
    summarize_verdict,
)
from tests.report.conftest import build_page


def test_the_strip_shows_images_of_the_worst_slice_that_were_fixed(page: ReportPage) -> None:
    chosen = choose_strip_images(page, gather_verdict_facts(page))
    assert len(chosen) == STRIP_IMAGE_COUNT == len(set(chosen))
    assert set(chosen) <= set(page.slice_members["s1"])
    assert set(page.flips["change"][chosen]) == {"fixed"}


def test_without_slices_the_strip_shows_misclassified_images(quiet: dict[str, Any]) -> None:
    page = build_page(quiet)
    chosen = choose_strip_images(page, gather_verdict_facts(page))
    assert page.is_misclassified[chosen].all()
    assert len(chosen) == STRIP_IMAGE_COUNT


def test_the_sentence_agrees_with_the_summary(page: ReportPage) -> None:
    facts = gather_verdict_facts(page)
    assert list(facts.places) == ["s1", "s2"]
    assert facts.planned == ["s1"]
    assert facts.error_count == page.is_misclassified.sum()
    assert build_summary(page)["verdict"]["plain"] == summarize_verdict(page).text
