from typing import Any

import pandas as pd

from pipeline.domain.split_exclusions import SplitExclusion
from pipeline.domain.statuses import ExclusionKind
from pipeline.report.report_page import ReportPage
from pipeline.report.sections.data_quality import MAX_REJECTED_ROWS, render
from tests.report.conftest import build_page


def test_rejected_duplicates_labels_and_balance(page: ReportPage) -> None:
    html = str(render(page))
    for text in (
        "480 images were read and 2 rejected",
        "2 labels are suspected to be wrong",
        "1 duplicate pair crosses",
        "the file is empty (0 bytes)",
        "2 exact pairs, 1 near",
        "two labels",
        "across splits",
    ):
        assert text in html, text
    table = page.images.groupby(["label", "split"]).size()
    for (name, _), n in table.items():
        assert str(name) in html
        assert f'data-v="{n}"' in html


def test_a_label_issue_shows_two_images(page: ReportPage) -> None:
    html = str(render(page))
    pair = html[html.index('<div class="pair">') :]
    assert pair[: pair.index("<p>")].count("<img") == 2


def test_long_lists_are_cut_and_counted(made: dict[str, Any]) -> None:
    many = pd.DataFrame({"path": [f"{k}.jpg" for k in range(500)], "reason": "empty"})
    html = str(render(build_page(made | {"rejected": many})))
    assert f"Showing {MAX_REJECTED_ROWS} of 500" in html
    assert "499.jpg" not in html


def test_only_relative_paths_are_shown(page: ReportPage) -> None:
    assert "/secret/" not in render(page)


def test_clean_data(made: dict[str, Any]) -> None:
    clean = {name: made[name].iloc[:0] for name in ("rejected", "duplicates", "label_issues")}
    html = str(render(build_page(made | clean)))
    assert "No duplicates were found" in html
    assert html.count("None") == 3


def test_images_without_a_label_are_no_class(made: dict[str, Any]) -> None:
    images = made["images"].assign(
        label=made["images"]["label"].where(made["splits"]["split"] != "train", None)
    )
    assert 'data-v="0"' in render(build_page(made | {"images": images}))


def test_excluded_images_are_counted_by_their_reason(made: dict[str, Any]) -> None:
    reason = SplitExclusion(ExclusionKind.SAME_GROUP, "p/0.jpg", "train").dump_json()
    splits = made["splits"].copy()
    splits.loc[:2, ["split", "reason"]] = ("left_out", reason)
    html = str(render(build_page(made | {"splits": splits})))
    assert "p/0.jpg in train</bdi> (3)" in html
