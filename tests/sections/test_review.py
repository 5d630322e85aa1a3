from typing import Any

from pipeline.evidence.review import slice_key
from pipeline.sections import Page
from pipeline.sections.review import review
from pipeline.sections.slices import slices
from pipeline.sections.summary import summarise
from tests.sections.conftest import build_page

HOSTILE = "<script>window.hacked=9</script>"


def reviews(made: dict[str, Any], decision: str) -> dict[str, Any]:
    key = slice_key(made["explanations"]["rule"].iloc[0])
    label = {"image_id": "i1", "path": HOSTILE, "label": "a", "decision": "wrong", "suggested": "b", "note": "n"}
    return {
        "slices": {key: {"key": key, "words": "Too dark", "decision": decision, "note": HOSTILE}},
        "labels": {"i1": label},
    }


def test_it_says_how_to_hand_decisions_on(page: Page) -> None:
    html = str(review(page))
    assert "nightshift review apply" in html
    assert "In force" not in html


def test_earlier_decisions_are_listed_and_escaped(made: dict[str, Any]) -> None:
    html = str(review(build_page(made, reviews=reviews(made, "muted"))))
    assert "In force before this run <span>2</span>" in html
    assert "it is <bdi>b</bdi>" in html
    assert "<script" not in html


def test_a_muted_slice_is_set_aside_and_an_accepted_one_says_so(made: dict[str, Any]) -> None:
    muted = build_page(made, reviews=reviews(made, "muted"))
    html = str(slices(muted))
    assert '<article class="slice" id="slice-s1">' not in html
    assert "Muted by a reviewer <span>1</span>" in html
    assert [s["review"] for s in summarise(muted)["slices"]] == ["muted", "", ""]
    accepted = str(slices(build_page(made, reviews=reviews(made, "accepted"))))
    assert "A reviewer <b>accepted</b> this slice before" in accepted
