from typing import Any

from pipeline.sections import Page
from pipeline.sections.identity import fingerprint, identity
from tests.sections.conftest import build_page


def test_run_config_versions_times_notes_and_openings(page: Page) -> None:
    html = str(identity(page))
    for text in (
        "demo-1",
        "steps: 800",
        "3.11.9",
        "2 min 13 s",
        "Two files were set aside.",
        "A late note.",
        "first time by any run",
        fingerprint(page),
    ):
        assert text in html, text


def test_a_sealed_test_is_called_sealed(quiet: dict[str, Any]) -> None:
    assert "still sealed" in identity(build_page(quiet))


def test_the_fingerprint_sees_a_changed_label_and_no_order(made: dict[str, Any]) -> None:
    images = made["images"]
    same = build_page(made | {"images": images.iloc[::-1].reset_index(drop=True)})
    other = build_page(made | {"images": images.assign(label=images["label"].iloc[::-1].to_numpy())})
    assert fingerprint(same) == fingerprint(build_page(made)) != fingerprint(other)


def test_a_run_without_facts(page: Page) -> None:
    bare = Page(page.made, "r", 0, page.photos)
    assert "Stages" not in identity(bare)
