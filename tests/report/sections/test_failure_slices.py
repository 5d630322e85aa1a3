import re
from typing import Any

import numpy as np

from pipeline.report.number_format import MISSING_TEXT
from pipeline.report.report_page import ReportPage
from pipeline.report.sections.failure_slices import render
from pipeline.report.slice_cards import count_intervention_effects
from tests.factory import planted
from tests.report.conftest import build_page


def test_a_confirmed_slice_shows_words_evidence_causes_curve_and_remedy(page: ReportPage) -> None:
    html = str(render(page))
    article = html[html.index('id="slice-s1"') : html.index('id="slice-s2"')]
    row = page["explanations"].iloc[0]
    for text in (
        "Too dark, taken from 21:00 to 05:00</bdi>",
        "failures were taken from 21:00 to 05:00; twice the exposure repairs",
        "luminance ≤ 62.4",
        "luminance ≤ 60 (40 images of half 2)",
        "proved by intervention",
        "exposure x2",
        f"{row['groups']} groups",
        "0.002",
        "too dark in the mid-tones",
        "equivalent to the named one",
        "ruled out",
        "train with exposure x0.15"[1:],
        "Told apart",
    ):
        assert text in article, text
    assert article.count('<svg class="chart"') == 1
    assert article.count('src="data:image/webp') == page.contact_sheet_size


def test_where_causes_were_asked_image_by_image_the_table_says_for_how_much_each_accounts(
    made: dict[str, Any],
) -> None:
    assert "Accounts for" not in str(render(build_page(made)))
    causes = made["causes"].assign(
        attributed_share=[0.62, 0.1, np.nan], attribution_lead=[0.3, -0.4, np.nan]
    )
    html = str(render(build_page(made | {"causes": causes})))
    assert re.search(r'data-l="Accounts for">62\.0.%<', html)
    assert f'data-l="Accounts for">{MISSING_TEXT}<' in html


def test_images_of_a_sheet_need_no_script(page: ReportPage) -> None:
    assert (
        len(re.findall(r'<img data-p="\d+" src="data:', str(render(page))))
        > page.contact_sheet_size
    )


def test_an_unnamed_cause_says_so(page: ReportPage) -> None:
    html = str(render(page))
    article = html[html.index('id="slice-s2"') :]
    assert "The heading describes what these images share; their cause is <b>unnamed</b>" in article


def test_the_three_measures_of_a_repair_are_told_apart(page: ReportPage) -> None:
    html = str(render(page))
    article = html[html.index('id="slice-s1"') : html.index('id="slice-s2"')]
    counts = count_intervention_effects(page, "s1", "exposure", 2.0)
    assert counts is not None
    assert (
        f"Here it turns {counts['repaired']} of {counts['misread']} misread images right" in article
    )
    assert "images elsewhere that the model was as sure or unsure of" in article
    assert "Share of all images of the slice that are right at each strength" in article
    assert article.count("two-sided 95\u202f% interval") >= 2


def test_what_was_not_confirmed_is_listed_with_what_would_decide(page: ReportPage) -> None:
    html = str(render(page))
    others = html[html.index("Also looked at") :]
    assert "not testable" in others
    assert ">18<" in others


def test_refused_changes_are_listed(page: ReportPage) -> None:
    html = str(render(page))
    assert "Changes that would change the label" in html


def test_nothing_found_is_an_ending(quiet: dict[str, Any]) -> None:
    assert "No group of images was confirmed" in render(build_page(quiet))


def test_hostile_words_and_names_are_escaped() -> None:
    html = str(render(build_page(planted(hostile=True))))
    assert "<script" not in html
    assert "<img src=x" not in html
