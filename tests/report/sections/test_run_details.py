from typing import Any

from pipeline.report.report_page import ReportPage
from pipeline.report.sections.run_details import compute_data_fingerprint, render
from tests.report.conftest import build_page


def test_the_section_shows_config_versions_times_notes_and_openings(page: ReportPage) -> None:
    html = str(render(page))
    for text in (
        "demo-1",
        "steps: 800",
        "3.11.9",
        "2 min 13 s",
        "Two files were rejected.",
        "A late note.",
        "first time by any run",
        compute_data_fingerprint(page),
    ):
        assert text in html, text


def test_a_sealed_test_is_called_sealed(quiet: dict[str, Any]) -> None:
    assert "still sealed" in render(build_page(quiet))


def test_the_fingerprint_depends_on_labels_and_not_on_the_order(made: dict[str, Any]) -> None:
    images = made["images"]
    same = build_page(made | {"images": images.iloc[::-1].reset_index(drop=True)})
    other = build_page(
        made | {"images": images.assign(label=images["label"].iloc[::-1].to_numpy())}
    )
    assert (
        compute_data_fingerprint(same)
        == compute_data_fingerprint(build_page(made))
        != compute_data_fingerprint(other)
    )


def test_a_run_without_facts_shows_no_stages(page: ReportPage) -> None:
    bare = ReportPage(page.artifacts, "r", 0, page.thumbnails)
    assert "Stages" not in render(bare)
