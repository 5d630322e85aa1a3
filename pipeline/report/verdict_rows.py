"""What `comparison` and `verdict` say, in the rows that the verdict, the headline and the summary draw from."""

from __future__ import annotations

import re
from typing import Any

from pipeline.domain.statuses import ComparisonOutcome
from pipeline.report.number_format import format_confidence_level, set_minus_signs
from pipeline.report.report_page import ReportPage

SPLIT_TITLES = (("test", "Test"), ("val", "Validation"))
_OUTCOME_WORDS = {
    ComparisonOutcome.NO_FAILURES: "Nothing to fix",
    ComparisonOutcome.NO_SLICE: "No common cause",
    ComparisonOutcome.NO_PLAN: "No remedy to train",
    ComparisonOutcome.NO_CANDIDATES: "Nothing to compare",
    ComparisonOutcome.NO_TEST: "Not judged",
}


def choose_outcome_word(page: ReportPage) -> str:
    """The verdict in a word or three."""
    if page["verdict"]["promoted"]:
        return "Promoted"
    return _OUTCOME_WORDS.get(page["comparison"].get("outcome", ""), "Refused")


def choose_banner_tone(page: ReportPage) -> str:
    """promoted, refused or nothing: which banner the verdict gets."""
    word = choose_outcome_word(page)
    return word.lower() if word in ("Promoted", "Refused") else "nothing"


def list_compared_splits(page: ReportPage) -> list[tuple[str, str, dict[str, Any]]]:
    """The splits that were compared, the strongest evidence first: (key, word, record)."""
    comparison = page["comparison"]
    return [(key, word, comparison[key]) for key, word in SPLIT_TITLES if comparison.get(key)]


def strip_outcome(headline_text: str) -> str:
    """The verdict's headline without the outcome, which stands large above it; true minus signs."""
    for outcome in ("promoted: ", "not promoted: ", "nothing to promote: "):
        headline_text = headline_text.removeprefix(outcome)
    return set_minus_signs(headline_text)


def describe_slices(page: ReportPage) -> dict[str, str]:
    """What the images of each slice are, in words, by slice."""
    return {row["slice"]: row["title"] for row in page.slices}


def replace_slice_names(page: ReportPage, text: str) -> str:
    """`text` with each slice's name replaced by its words, in quotation marks, and val by validation."""
    text = re.sub(r"\bon val\b", "on validation", text)
    for name, words in describe_slices(page).items():
        text = f"“{words}”".join(re.split(rf"\b{re.escape(name)}\b", text))
    return text


def build_comparison_rows(page: ReportPage) -> list[dict[str, Any]]:
    """One row for each comparison of the arms: everything, the planned slices together, each slice, by split.

    Keys: split, word, what (all | planned | slice | others), name, n, groups, alpha; before, control,
    targeted, generic: intervals, or None; gain, over_generic: records, or None.
    """
    rows = []
    for key, word, record in list_compared_splits(page):
        rows.append(
            _build_comparison_row(
                record["overall"], key, word, "all", "All images", record["alpha"]
            )
        )
        names = describe_slices(page)
        planned = page["comparison"]["counts"]["planned"]
        if planned:
            rows.append(
                _build_comparison_row(
                    record["primary"],
                    key,
                    word,
                    "planned",
                    "Images the repair is meant for",
                    record["alpha"],
                )
            )
        for item in record["slices"]:
            name = names.get(item["slice"], item["slice"])
            rows.append(
                _build_comparison_row(item, key, word, "slice", name, record["alpha"])
                | {"slice": item["slice"]}
            )
        if planned:
            rows.append(
                _build_comparison_row(
                    record["outside"], key, word, "others", "All other images", record["alpha"]
                )
            )
    return rows


def _build_comparison_row(
    subset_record: dict[str, Any],
    split: str,
    split_title: str,
    row_kind: str,
    name: str,
    alpha: float,
) -> dict[str, Any]:
    wanted = (
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
    kept = {k: subset_record.get(k) for k in wanted}
    return {
        "split": split,
        "word": split_title,
        "what": row_kind,
        "name": name,
        "slice": None,
        "alpha": alpha,
        **kept,
    }


def find_main_row(page: ReportPage) -> dict[str, Any] | None:
    """The row of all images on the split with the strongest evidence that was looked at."""
    return next((row for row in build_comparison_rows(page) if row["what"] == "all"), None)


def has_unnamed_cause(page: ReportPage) -> bool:
    """Whether some confirmed slice is described by words that name no cause."""
    return any(not row["cause"] for row in page.confirmed_slices)


def describe_levels(page: ReportPage) -> str:
    """At which level each split's gain is bounded: "97.5 % on test and 95 % on validation"."""
    told = [
        (format_confidence_level(record["alpha"]), "validation" if key == "val" else key)
        for key, _, record in list_compared_splits(page)
    ]
    return " and ".join(f"{text} on {split}" for text, split in told)


def build_power_rows(page: ReportPage) -> list[dict[str, Any]]:
    """Groups at hand and groups needed for each test, slices named in words."""
    return [
        {**row, "words": replace_slice_names(page, str(row["test"]))}
        for row in page["comparison"]["power"]
    ]
