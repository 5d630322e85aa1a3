"""What `comparison` and `verdict` say, in the rows that the verdict, the headline and the summary draw from."""

from __future__ import annotations

import re
from typing import Any

from pipeline.sections import Page
from pipeline.sections.slice_view import headline
from pipeline.sections.words import level, minus

SPLITS = (("test", "Test"), ("val", "Validation"))
_NOTHING = {
    "no failures": "Nothing to fix",
    "no slice": "No common cause",
    "no plan": "No remedy to train",
    "no candidates": "Nothing to compare",
    "no test": "Not judged",
}


def outcome_word(page: Page) -> str:
    """The verdict in a word or three."""
    if page["verdict"]["promoted"]:
        return "Promoted"
    return _NOTHING.get(page["comparison"].get("outcome", ""), "Refused")


def tone(page: Page) -> str:
    """promoted, refused or nothing: which banner the verdict gets."""
    word = outcome_word(page)
    return word.lower() if word in ("Promoted", "Refused") else "nothing"


def opened(page: Page) -> list[tuple[str, str, dict[str, Any]]]:
    """The splits that were compared, the strongest evidence first: (key, word, record)."""
    comparison = page["comparison"]
    return [(key, word, comparison[key]) for key, word in SPLITS if comparison.get(key)]


def after_colon(text: str) -> str:
    """The verdict's headline without the outcome, which stands large above it; true minus signs."""
    for outcome in ("promoted: ", "not promoted: ", "nothing to promote: "):
        text = text.removeprefix(outcome)
    return minus(text)


def slice_words(page: Page) -> dict[str, str]:
    """What the photos of each slice are, in words, by slice."""
    return {row["slice"]: headline(row["words"])[0] for row in page.slices}


def in_words(page: Page, text: str) -> str:
    """`text` with each slice's name replaced by its words, in quotation marks, and val by validation."""
    text = re.sub(r"\bon val\b", "on validation", text)
    for name, words in slice_words(page).items():
        text = f"“{words}”".join(re.split(rf"\b{re.escape(name)}\b", text))
    return text


def parts(page: Page) -> list[dict[str, Any]]:
    """One row for each comparison of the arms: everything, the planned slices together, each slice, by split.

    Keys: split, word, what (all | planned | slice | others), name, n, groups, alpha, mcnemar; before, control,
    targeted, generic: intervals, or None; gain, over_generic: records, or None.
    """
    rows = []
    for key, word, record in opened(page):
        rows.append(_part(record["overall"], key, word, "all", "All photos", record["alpha"]))
        names = slice_words(page)
        planned = page["comparison"]["counts"]["planned"]
        if planned:
            rows.append(
                _part(record["primary"], key, word, "planned", "Photos the repair is meant for", record["alpha"])
            )
        for item in record["slices"]:
            name = names.get(item["slice"], item["slice"])
            rows.append(_part(item, key, word, "slice", name, record["alpha"]) | {"slice": item["slice"]})
        if planned:
            rows.append(_part(record["outside"], key, word, "others", "All other photos", record["alpha"]))
    return rows


def _part(part: dict[str, Any], key: str, word: str, what: str, name: str, alpha: float) -> dict[str, Any]:
    wanted = ("n", "groups", "before", "control", "targeted", "generic", "gain", "over_generic", "mcnemar", "passed")
    kept = {k: part.get(k) for k in wanted}
    return {"split": key, "word": word, "what": what, "name": name, "slice": None, "alpha": alpha, **kept}


def main_row(page: Page) -> dict[str, Any] | None:
    """The row of all photos on the split with the strongest evidence that was looked at."""
    return next((row for row in parts(page) if row["what"] == "all"), None)


def has_unnamed(page: Page) -> bool:
    """Whether some confirmed slice is described by words that name no cause."""
    return any(not row["cause"] for row in page.confirmed)


def levels(page: Page) -> str:
    """At which level each split's gain is bounded: "97.5 % on test and 95 % on validation"."""
    told = [(level(record["alpha"]), "validation" if key == "val" else key) for key, _, record in opened(page)]
    return " and ".join(f"{text} on {split}" for text, split in told)


def power(page: Page) -> list[dict[str, Any]]:
    """Groups at hand and groups needed for each test, slices named in words."""
    return [{**row, "words": in_words(page, str(row["test"]))} for row in page["comparison"]["power"]]
