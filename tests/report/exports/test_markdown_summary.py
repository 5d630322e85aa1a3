import re
from typing import Any

from pipeline.report.exports.markdown_summary import compose_markdown
from pipeline.report.report_page import ReportPage
from pipeline.report.run_summary import build_summary
from tests.factory import planted
from tests.report.conftest import build_page


def _read_rows(text: str, heading: str) -> dict[str, list[str]]:
    """Return the cells of a section's table by their first one."""
    rows = {}
    for line in text.split(heading)[1].split("\n## ")[0].splitlines():
        if line.startswith("| ") and "---" not in line:
            first, *cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            rows[first] = cells
    return rows


def test_the_figures_are_those_of_the_summary(page: ReportPage) -> None:
    summary = build_summary(page)
    text = compose_markdown(summary)
    accuracy = summary["metrics"]["test"]["accuracy"]
    cells = _read_rows(text, "## Accuracy on the test set")["All images"]
    shares = [f"{100 * accuracy[arm]['value']:.1f}" for arm in ("before", "control", "after")]
    assert [re.sub(r"\s*%", "", cell) for cell in cells[1:]] == shares
    for row in summary["slices"]:
        counts = f"{row['failures']} of its {row['n']} images"
        assert (counts in text) == (row["status"] == "confirmed")


def test_pictures_are_shown_only_if_they_are_there(page: ReportPage) -> None:
    summary = build_summary(page)
    assert "![" not in compose_markdown(summary)
    text = compose_markdown(summary, ["confusion_matrix.png", "s1_images.png"], "index.html")
    assert re.findall(r"!\[[^]]*\]\((.*?)\)", text) == ["confusion_matrix.png", "s1_images.png"]
    assert "](index.html)" in text


def test_those_who_lose_come_first(page: ReportPage) -> None:
    summary = build_summary(page)
    losing = summary["by_part"][0] | {"class": "payer", "status": "harmed", "after": 0}
    text = compose_markdown(summary | {"by_part": [*summary["by_part"], losing]})
    rows = _read_rows(text, "## Who gains, and who pays")
    assert list(rows)[:2] == ["", "payer"]


def test_a_run_without_slices_and_arms(quiet: dict[str, Any]) -> None:
    text = compose_markdown(build_summary(build_page(quiet)))
    assert "| control |" not in text
    assert "Who gains" not in text


def test_hostile_names_are_text() -> None:
    text = compose_markdown(
        build_summary(build_page(planted(hostile=True))), ["confusion_matrix.png"]
    )
    assert not re.search(r"<(?!/?(?:sub|details|summary)>)", text)
    assert "](javascript" not in text
    tables = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(line.endswith(" |") for line in tables)
