import re
from typing import Any

import pytest

from pipeline.report.report_page import ReportPage
from pipeline.report.sections.gate_verdict import render
from tests.factory import planted
from tests.helpers.comparisons import make_foreseen
from tests.report.conftest import build_page

MAX_FIRST_WORDS = 49  # of this section; header and navigation have eleven more


def count_words(html: str) -> int:
    return len(re.findall(r"[^\s→✓✕%:;,.]+", re.sub(r"<[^>]+>", " ", html)))


def make_promising(made: dict[str, Any]) -> dict[str, Any]:
    outcome = {"outcome": "promising on val"}
    verdict = made["verdict"] | outcome | {"promoted": False, "foreseen": make_foreseen()}
    return made | {"verdict": verdict, "comparison": made["comparison"] | outcome | {"test": None}}


@pytest.mark.parametrize("kind", ["promoted", "refused", "promising", "no slice", "no plan"])
def test_the_first_screen_is_short_and_without_jargon(kind: str, made: dict[str, Any]) -> None:
    artifacts = {
        "promoted": lambda: made,
        "refused": lambda: planted(sealed=True),
        "promising": lambda: make_promising(made),
        "no slice": lambda: planted(changed=False, slices=False),
        "no plan": lambda: planted(changed=False),
    }[kind]()
    html = str(render(build_page(artifacts)))
    html = re.sub(r'<p class="changed">.*?</p>', "", html)  # a fault of the data comes on top
    assert count_words(html) <= MAX_FIRST_WORDS
    text = re.sub(r"<[^>]+>", " ", html)
    for word in ("interval", "control", "arm", "q value", "points", "seed", "repair"):
        assert not re.search(rf"\b{word}\b", text)
    assert len(re.findall('class="pic"', html)) == 4
    next_section = "error_overview" if kind == "no slice" else "treatment_story"
    assert f'class="act" href="#{next_section}"' in html


def test_each_figure_links_to_its_evidence(page: ReportPage) -> None:
    html = str(render(page))
    assert 'class="banner promoted"' in html
    assert "Safe to switch</h1>" in html
    figures = re.findall(r'<a href="#accuracy_change"><b>(\d+) → (\d+)', html)
    assert len(figures) == 2
    accuracy = page["comparison"]["test"]["overall"]
    assert figures[0][0] == f"{100 * accuracy['before']['value']:.0f}"


def test_images_with_the_same_answers_share_a_caption(page: ReportPage) -> None:
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", str(render(page)))
    assert 1 <= len(captions) <= 2
    assert "✕" in captions[0]
    assert "✓" in captions[0]


@pytest.mark.parametrize(
    ("outcome", "answer"),
    [("no failures", "Nothing to mend"), ("no slice", "No common cause found")],
)
def test_an_ending_without_a_candidate_has_its_answer(
    quiet: dict[str, Any], outcome: str, answer: str
) -> None:
    made = quiet | {"comparison": quiet["comparison"] | {"outcome": outcome}}
    html = str(render(build_page(made)))
    assert f"</svg>{answer}</h1>" in html
    assert 'class="banner nothing"' in html


def test_a_promising_run_is_not_shown_as_refused(made: dict[str, Any]) -> None:
    html = str(render(build_page(make_promising(made))))
    assert 'class="banner nothing"' in html
    assert "Not decided yet" in html


def test_hostile_names_are_escaped() -> None:
    html = str(render(build_page(planted(hostile=True))))
    assert "<script" not in html
    assert "<img src=x" not in html


def test_a_class_that_training_never_saw_is_named_before_the_figures(made: dict[str, Any]) -> None:
    assert "training never saw" not in str(render(build_page(made)))
    images, splits = made["images"], made["splits"].copy()
    in_train = (splits["split"] == "train").to_numpy()
    label = images["label"].iloc[-1]
    members = images.loc[images["label"] == label, "image_id"]
    splits.loc[in_train & splits["image_id"].isin(members).to_numpy(), "split"] = "left_out"
    html = str(render(build_page(made | {"splits": splits})))
    assert f"training never saw ({label})" in html
    assert html.index("training never saw") < html.index('class="figures"')
