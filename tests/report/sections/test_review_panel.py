from typing import Any

from pipeline.domain.rules import Rule
from pipeline.report.report_page import ReportPage
from pipeline.report.run_summary import build_summary
from pipeline.report.sections import failure_slices, review_panel
from tests.report.conftest import build_page

HOSTILE = "<script>window.hacked=9</script>"


def make_reviews(made: dict[str, Any], decision: str) -> dict[str, Any]:
    rule = made["explanations"]["frozen"].iloc[0]
    key = Rule.parse_json(rule).format_text()
    label = {
        "image_id": "i1",
        "path": HOSTILE,
        "label": "a",
        "decision": "wrong",
        "suggested": "b",
        "note": "n",
    }
    return {
        "slices": {
            key: {
                "key": key,
                "words": "Too dark",
                "rule": rule,
                "decision": decision,
                "note": HOSTILE,
            }
        },
        "labels": {"i1": label},
    }


def test_the_panel_names_the_command_that_imports_decisions(page: ReportPage) -> None:
    html = str(review_panel.render(page))
    assert "nightshift review apply" in html
    assert "Decisions before this run" not in html


def test_earlier_decisions_are_listed_and_escaped(made: dict[str, Any]) -> None:
    html = str(review_panel.render(build_page(made, reviews=make_reviews(made, "muted"))))
    assert "Decisions before this run <span>2</span>" in html
    assert "it is <bdi>b</bdi>" in html
    assert "<script" not in html


def test_a_muted_slice_is_listed_apart_and_an_accepted_one_is_marked(made: dict[str, Any]) -> None:
    muted = build_page(made, reviews=make_reviews(made, "muted"))
    html = str(failure_slices.render(muted))
    assert '<article class="slice" id="slice-s1">' not in html
    assert "Muted by a reviewer <span>1</span>" in html
    assert [s["review"] for s in build_summary(muted)["slices"]] == ["muted", "", ""]
    accepted = str(failure_slices.render(build_page(made, reviews=make_reviews(made, "accepted"))))
    assert "A reviewer <b>accepted</b> this slice in an earlier run" in accepted
