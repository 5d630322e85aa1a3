import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

import pipeline.sections
from pipeline import plugins
from pipeline.sections import Page
from pipeline.sections.page import COLUMNS, asset, payload, render
from tests.factory import planted
from tests.sections.conftest import build_page


def test_every_section_stands_in_its_order(page: Page) -> None:
    html = render(page, plugins.names("sections"))
    there = tuple(name for name in plugins.names("sections") if name != "shortcuts")  # these photos bear no mark
    assert tuple(re.findall(r'<section class="part" id="([^"]+)"', html)) == there


def test_the_policy_lets_in_this_style_and_script_alone(page: Page) -> None:
    html = render(page, ("verdict",))
    policy = html[html.index("default-src") :].split('"')[0].replace("&#39;", "'")
    for tag, name in (("style", "style.css"), ("script", "script.js")):
        text = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.S)[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert text == asset(name)
    assert "default-src 'none'; img-src data:;" in policy
    assert "unsafe" not in policy


def test_nothing_is_inline_that_the_policy_forbids_and_nothing_leads_outside(page: Page) -> None:
    html = render(page, plugins.names("sections"))
    markup = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", html, flags=re.S)
    assert not re.search(r"\sstyle=|\son\w+=", markup)
    assert set(re.findall(r'(?:href|src)="([^"#]*?)["#]', markup)) <= {
        *("", "data:,", "../index.html"),
        *("failures.csv", "photos.parquet", "predictions.parquet", "summary.json"),  # beside the page
    } | {s for s in re.findall(r'src="([^"]*)"', markup) if s.startswith("data:image/webp")}
    assert "http:" not in html
    assert "https:" not in html
    assert "/secret/" not in html


def test_style_and_script_stay_small() -> None:
    folder = Path(pipeline.sections.__file__).parent
    assert sum(p.stat().st_size for p in folder.iterdir() if p.suffix in (".css", ".js")) < 60_000


def test_the_data_hold_each_photo_once_and_rows_that_match_the_columns(page: Page) -> None:
    html = render(page, plugins.names("sections"))
    data = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[0])
    assert data["columns"] == list(COLUMNS)
    assert {len(row) for row in data["photos"]} == {len(COLUMNS)}
    inline = {int(p) for p in re.findall(r'<img data-p="(\d+)" src=', html)}
    assert inline == {k for k, code in enumerate(data["thumbs"]) if code is None}
    first = next(iter(page.photos.position))
    row = dict(zip(COLUMNS, data["photos"][0], strict=True))
    assert data["classes"][row["before"]] == page.answers[first]["before"]


def test_a_photo_outside_val_has_no_answer(page: Page) -> None:
    train = page["label_issues"]["image_id"].iloc[1]
    row = payload(page)["photos"][page.photos.position[train]]
    assert row[COLUMNS.index("before")] == -1
    assert row[COLUMNS.index("p_before")] is None


def test_hostile_names_are_text() -> None:
    html = render(build_page(planted(hostile=True)), plugins.names("sections"))
    assert len(re.findall(r"<script", html)) == 2
    assert "<img src=x" not in html
    assert "{{" in html
    assert "49 $" not in html


def test_an_outsiders_section_needs_no_title(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    class Outside:
        @staticmethod
        def hours_of_day(page: Page) -> Markup:
            return Markup("<p>{}</p>").format("<here>")

    monkeypatch.setattr(plugins, "module", lambda kind, name: Outside)
    html = render(page, ("hours_of_day",))
    assert "Hours of day</h2>" in html
    assert "<p>&lt;here&gt;</p>" in html


def test_an_empty_section_is_left_out(made: dict[str, Any]) -> None:
    html = render(
        build_page(made | {"flips": made["flips"].iloc[:0], "answers": made["answers"][:0]}), ("confusion", "identity")
    )
    assert 'id="confusion"' not in html
