import copy
import re
from typing import Any

import numpy as np
import pytest

from pipeline.domain.statuses import CauseConfidence
from pipeline.report.figures.dose_response_charts import count_intervention_effects
from pipeline.report.report_page import ReportPage
from pipeline.report.sections.failure_slices import MAX_GROUPS_NEEDED, render
from pipeline.report.sentences.number_format import MISSING_TEXT
from tests.factory import planted
from tests.report.conftest import build_page
from tests.report.sections.test_review_panel import make_reviews


def extract_article(html: str, name: str) -> str:
    """Return the HTML of one slice."""
    start = html.index(f'id="slice-{name}"')
    return html[start : html.index("</article>", start)]


def test_a_confirmed_slice_has_evidence_causes_curve_and_remedy(page: ReportPage) -> None:
    article = extract_article(str(render(page)), "s1")
    row = page["explanations"].iloc[0]
    for text in (
        "Too dark, luminance at most 62.4, taken from 20:30 to 05:30</bdi>",
        "failures were taken from 21:00 to 05:00; twice the exposure repairs",
        "luminance ≤ 62.4",
        "luminance ≤ 60 (40 images of half 2)",
        "at 15 to 40 % of the light, fail in the same way",
        "If you disagree",
        "as trained on",
        "exposure x2",
        f"{row['groups']} groups",
        "0.002",
        "too dark in the mid-tones",
        "equivalent to the named one",
        "it was not shown to make most failures",
        "training images treated with exposure x0.15 to x0.4",
        "Separability (AUC)",
    ):
        assert text in article, text
    assert article.count('<svg class="chart"') == 1
    sheet = article[article.index('class="sheet') : article.index('class="minis"')]
    assert sheet.count('src="data:image/webp') == page.contact_sheet_size


@pytest.mark.parametrize(
    ("confidence", "text"),
    [
        (CauseConfidence.CONSISTENT, "Consistent with too dark: good images, at 15 to 40 %"),
        (CauseConfidence.SUSPECTED, "They may be too dark"),
        (CauseConfidence.LEANS_ON_MARK, "The model relies on a mark"),
    ],
)
def test_the_evidence_for_the_cause_is_stated(
    made: dict[str, Any], confidence: CauseConfidence, text: str
) -> None:
    table = made["explanations"].copy()
    table.loc[0, "confidence"] = confidence
    article = extract_article(str(render(build_page(made | {"explanations": table}))), "s1")
    assert text in article
    assert "corrects 71 % of the failures" not in article


def test_no_strength_is_shown_without_its_remedy_or_unit(page: ReportPage) -> None:
    text = re.sub(r"<[^>]+>", " ", str(render(page)))
    assert not re.search(r"strengths? (of )?[-−\d.]", text)


def test_attributed_failures_are_shown_if_causes_were_attributed(made: dict[str, Any]) -> None:
    assert "Attributed failures" not in str(render(build_page(made)))
    causes = made["causes"].assign(
        attributed_share=[0.62, 0.1, np.nan], attribution_lead=[0.3, -0.4, np.nan]
    )
    html = str(render(build_page(made | {"causes": causes})))
    assert re.search(r'data-l="Attributed failures">62\.0.%<', html)
    assert f'data-l="Attributed failures">{MISSING_TEXT}<' in html


def test_the_images_of_a_sheet_need_no_script(page: ReportPage) -> None:
    inline = re.findall(r'<img data-p="\d+" src="data:', str(render(page)))
    assert len(inline) > page.contact_sheet_size


def test_an_unnamed_cause_is_stated(page: ReportPage) -> None:
    article = extract_article(str(render(page)), "s2")
    assert "The cause is unnamed" in article
    assert "7 of 9 failures are badge predicted as none" in article


def test_a_class_that_pays_is_named_on_the_card(made: dict[str, Any]) -> None:
    assert "were right before and" not in str(render(build_page(made)))
    comparison = copy.deepcopy(made["comparison"])
    part = comparison["test"]["safety"]["before"]["slice_classes"][0]
    part |= {"reference": 0.97, "treated": 0.62, "loss_probability": 0.999, "status": "harmed"}
    article = extract_article(str(render(build_page(made | {"comparison": comparison}))), "s1")
    before, after = round(0.97 * part["n"]), round(0.62 * part["n"])
    assert f"{before} were right before and {after} are now" in article


def test_suspected_labels_and_black_images_are_marked(made: dict[str, Any]) -> None:
    page = build_page(made)
    members = page.slice_members["s1"]
    issues = made["label_issues"].copy()
    wrong = [image_id for image_id in members if page.is_misclassified[image_id]]
    issues.loc[0, "image_id"] = wrong[0]
    pixels = made["pixels"].copy()
    pixels[list(made["images"]["image_id"]).index(members[0])] = 0
    attributes = made["attributes"].copy()
    attributes.loc[attributes["image_id"] == members[0], "luminance"] = 0.0
    changed = made | {"label_issues": issues, "pixels": pixels, "attributes": attributes}
    article = extract_article(str(render(build_page(changed, contact=100))), "s1")
    assert "label?" in article
    assert "<b>1</b> of them is black" in article
    assert "label?" not in extract_article(str(render(page)), "s1")


def test_the_effect_of_the_intervention_is_counted(page: ReportPage) -> None:
    article = extract_article(str(render(page)), "s1")
    counts = count_intervention_effects(page, "s1", "exposure", 2.0)
    assert counts is not None
    text = f"it corrects {counts['repaired']} of {counts['misclassified']} misclassified images"
    assert text in article
    assert article.count("two-sided 95\u202f% interval") >= 2


def test_unconfirmed_slices_show_the_groups_needed(made: dict[str, Any]) -> None:
    html = str(render(build_page(made)))
    table = html[html.index("Candidate slices that were not confirmed") :]
    assert "not testable" in table
    assert ">18<" in table
    unreachable = made["explanations"].assign(groups_needed=MAX_GROUPS_NEEDED)
    assert "out of reach" in render(build_page(made | {"explanations": unreachable}))


def test_refused_remedies_are_listed(page: ReportPage) -> None:
    html = str(render(page))
    table = html[html.index("Remedies that change the label") :]
    assert "mirrored" in table
    assert "81.0\u202f%" in table


def test_a_run_without_slices_says_so(quiet: dict[str, Any]) -> None:
    assert "No slice was confirmed" in render(build_page(quiet))


def test_hostile_names_are_escaped() -> None:
    html = str(render(build_page(planted(hostile=True))))
    assert "<script" not in html
    assert "<img src=x" not in html


def test_muted_and_unconfirmed_slices_are_rows_of_tables(made: dict[str, Any]) -> None:
    html = str(render(build_page(made, reviews=make_reviews(made, "muted"))))
    assert "Muted by a reviewer" in html
    assert html.count("<table") == html.count("</table>")
    for row in re.finditer("<tr", html):
        before = html[: row.start()]
        assert before.count("<table") > before.count("</table>"), html[row.start() :][:80]


def test_a_card_says_what_share_of_each_split_its_rule_admits(made: dict[str, Any]) -> None:
    shares = {"s1": {"train": 0.118, "val": 0.124, "test": None}}
    html = str(render(build_page(made | {"policy": made["policy"] | {"admission": shares}})))
    article = extract_article(html, "s1")
    assert "12.4 % of the validation images, 11.8 % of the training images" in article
    assert "<dt>Admits</dt>" not in str(render(build_page(made)))
