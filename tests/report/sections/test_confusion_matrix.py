import re
from typing import Any

import numpy as np

from pipeline.report.report_page import ReportPage
from pipeline.report.sections.confusion_matrix import render
from tests.factory import planted
from tests.report.conftest import build_page


def parse_cells(html: str, view: str) -> dict[tuple[int, int], tuple[str, int]]:
    table = html[html.index(f'data-view="{view}"') :]
    matches = re.findall(
        r'data-cell="(\w+),(\w+)" data-total="(\d+)".*?class="n">([^<]*)<',
        table[: table.index("</table>")],
    )
    return {
        (int(i.replace("other", "-1")), int(j.replace("other", "-1"))): (n, int(total))
        for i, j, total, n in matches
    }


def test_the_three_matrices_count_the_flips(page: ReportPage) -> None:
    html = str(render(page))
    flips, names = page["flips"], page.class_names
    for view, column in (("before", "before"), ("after", "after")):
        for (i, j), (n, total) in parse_cells(html, view).items():
            expected = ((flips["label"] == names[i]) & (flips[column] == names[j])).sum()
            assert int(n) == total == expected
    before, after = parse_cells(html, "before"), parse_cells(html, "after")
    for cell, (n, total) in parse_cells(html, "change").items():
        assert int(n.replace("−", "-")) == int(after[cell][0]) - int(before[cell][0])
        assert total >= abs(int(n.replace("−", "-")))


def test_without_retraining_there_is_one_matrix(quiet: dict[str, Any]) -> None:
    html = str(render(build_page(quiet)))
    assert html.count("data-view=") == 1


def test_many_classes_are_merged_and_the_page_says_so() -> None:
    page = build_page(planted(43, 900))
    html = str(render(page))
    assert "Of 43 classes the 20 most confused are shown" in html
    table = parse_cells(html, "before")
    assert len(table) == 21**2
    assert sum(total for _, total in table.values()) == len(page.flips)


def test_without_images_there_is_no_section(made: dict[str, Any]) -> None:
    assert render(build_page(made | {"flips": made["flips"].iloc[:0]})) == ""


def test_the_shares_of_each_row_sum_up_to_one(page: ReportPage) -> None:
    html = str(render(page))
    shares = [
        float(x)
        for x in re.findall(r'class="p">([\d.]+)<', html[: html.index('data-view="after"')])
    ]
    assert np.isclose(sum(shares), 100 * len(page.class_names), atol=0.2)
