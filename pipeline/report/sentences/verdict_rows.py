"""Rows of `comparison` and `verdict` that several sections and the summary share."""

from __future__ import annotations

from typing import Any

from pipeline.domain.statuses import ComparisonOutcome
from pipeline.report.report_page import ReportPage
from pipeline.report.sentences.comparison_sentences import SubsetNames, describe_power_question
from pipeline.report.sentences.number_format import format_confidence_level

RANKED_SPLITS = (("test", "Test"), ("val", "Validation"))  # the strongest evidence first
PROMOTED_TEXT = "Promoted"
REFUSED_TEXT = "Refused"
PROMISING_TEXT = "Promising on validation"
_OUTCOME_TEXTS: dict[str | None, str] = {
    ComparisonOutcome.NO_FAILURES: "Nothing to fix",
    ComparisonOutcome.NO_SLICE: "No common cause",
    ComparisonOutcome.NO_PLAN: "No remedy to train",
    ComparisonOutcome.NO_CANDIDATES: "Nothing to compare",
    ComparisonOutcome.NO_TEST: "Not judged",
}
_RECORD_KEYS = (
    "n",
    "groups",
    "before",
    "control",
    "targeted",
    "generic",
    "gain",
    "over_generic",
    "passed",
)


def choose_outcome_text(is_promoted: bool, outcome: str | None) -> str:
    """Return the verdict in one to three words.

    Args:
        is_promoted: whether the candidate was promoted.
        outcome: how far the comparison came (`ComparisonOutcome`).
    """
    if is_promoted:
        return PROMOTED_TEXT
    if outcome == ComparisonOutcome.PROMISING_ON_VAL:
        return PROMISING_TEXT
    return _OUTCOME_TEXTS.get(outcome, REFUSED_TEXT)


def choose_banner_class(is_promoted: bool, outcome: str | None) -> str:
    """Return the CSS class of the verdict's banner: promoted, refused or nothing."""
    if is_promoted:
        return "promoted"
    is_undecided = outcome in _OUTCOME_TEXTS or outcome == ComparisonOutcome.PROMISING_ON_VAL
    return "nothing" if is_undecided else "refused"


def list_compared_splits(page: ReportPage) -> list[tuple[str, str, dict[str, Any]]]:
    """Return (key, title, record) of the compared splits, the strongest evidence first."""
    comparison = page["comparison"]
    return [(key, title, comparison[key]) for key, title in RANKED_SPLITS if comparison.get(key)]


def map_slice_titles(page: ReportPage) -> dict[str, str]:
    """Return the title of each slice, by slice."""
    return {row["slice"]: row["title"] for row in page.slices}


def list_subset_names(page: ReportPage) -> SubsetNames:
    """Return the names of slices and splits in sentences of the page."""
    conditions = {row["slice"]: row["condition"] for row in page.slices}
    return SubsetNames(map_slice_titles(page), {"val": "validation"}, conditions)


def build_comparison_rows(page: ReportPage) -> list[dict[str, Any]]:
    """Return one row for each comparison of the arms: all images, planned slices, each slice.

    Returns:
        Rows by split with the keys split, split_title, subset_kind (all | planned | slice |
        others), name, slice, n, groups, alpha, passed; before, control, targeted and generic
        (intervals or None); gain and over_generic (records or None).
    """
    rows = []
    titles = map_slice_titles(page)
    has_plan = bool(page["comparison"]["counts"]["planned"])
    for split, split_title, record in list_compared_splits(page):
        shared = {"split": split, "split_title": split_title, "alpha": record["alpha"]}
        rows.append(_build_row(shared, "all", "All images", record["overall"]))
        if has_plan:
            rows.append(
                _build_row(shared, "planned", "Images of slices with a remedy", record["primary"])
            )
        for subset in record["slices"]:
            name = titles.get(subset["slice"], subset["slice"])
            row = _build_row(shared, "slice", name, subset)
            row["slice"] = subset["slice"]
            rows.append(row)
        if has_plan:
            rows.append(_build_row(shared, "others", "All other images", record["outside"]))
    return rows


def _build_row(
    shared: dict[str, Any], subset_kind: str, name: str, record: dict[str, Any]
) -> dict[str, Any]:
    kept = {key: record.get(key) for key in _RECORD_KEYS}
    return {**shared, "subset_kind": subset_kind, "name": name, "slice": None, **kept}


def has_unnamed_cause(page: ReportPage) -> bool:
    """Return whether some confirmed slice has no named cause."""
    return any(not row["cause"] for row in page.confirmed_slices)


def describe_levels(page: ReportPage) -> str:
    """Return the level of each split's bounds: "97.5 % on test and 95 % on validation"."""
    levels = []
    for _, split_title, record in list_compared_splits(page):
        levels.append(f"{format_confidence_level(record['alpha'])} on {split_title.lower()}")
    return " and ".join(levels)


def build_power_rows(page: ReportPage) -> list[dict[str, Any]]:
    """Return the groups there are and the groups needed for each test, with slices by title."""
    names = list_subset_names(page)
    rows = []
    for row in page["comparison"]["power"]:
        rows.append({**row, "words": describe_power_question(row, names)})
    return rows
