"""Pages of planted artifacts, and a browser that may ask nothing of any network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.contact_sheets import rank_informative_images
from pipeline.report.report_page import AugmentationPreview, ReportPage
from pipeline.report.thumbnails import ThumbnailMode, ThumbnailStore, index_rows
from pipeline.stages.report import build_previews
from tests.factory import planted

FACTS = {
    "config": "name: demo\ntrain:\n  steps: 800\n",
    "versions": {"nightshift": "0.1.0", "python": "3.11.9"},
    "stages": [
        {"name": "ingest", "seconds": 8.21, "notes": ["two files were set aside"]},
        {"name": "train", "seconds": 133.0, "notes": []},
    ],
}


_KNOWN: dict[int, list[AugmentationPreview]] = {}


def _previews(key: int, made: dict[str, Any]) -> list[AugmentationPreview]:
    """Previews of planted images, which `planted` makes once, and so do we."""
    if key not in _KNOWN:
        _KNOWN[key] = list(build_previews(made, 7))
    return _KNOWN[key]


def build_page(
    made: dict[str, Any],
    mode: ThumbnailMode = "full",
    budget: int = 10_000_000,
    contact: int = 24,
    reviews: dict[str, Any] | None = None,
) -> ReportPage:
    images = ThumbnailStore(made["pixels"], index_rows(made["images"]["image_id"]), mode)
    shown = _previews(id(made["pixels"]), made) if made["plan"].size else ()
    page = ReportPage(
        made, "demo-1", 7, images, FACTS, ["a late note"], contact, shown, reviews or {}
    )
    images.set_order(rank_informative_images(page))
    images.fit_budget(budget, 300)
    return page


def complaints_of_axe(tab: Any) -> list[str]:
    """What axe-core finds against the page as it stands, and where."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is absent: pip install -e .[dev]"
    )
    found = axe.Axe().run(tab).response["violations"]
    return [f"{v['id']}: {node['html'][:120]}" for v in found for node in v["nodes"]]


def settle(tab: Any) -> None:
    """Wait until every section of a report is laid out: one out of sight has no text that a browser would tell."""
    if tab.locator("#viewer").count():
        tab.locator(".part:not(.seen)").first.wait_for(state="detached")


@pytest.fixture(scope="session")
def made() -> dict[str, Any]:
    return planted()


@pytest.fixture
def page(made: dict[str, Any]) -> ReportPage:
    return build_page(made)


@pytest.fixture(scope="session")
def quiet() -> dict[str, Any]:
    """A run in which nothing was found and nothing repaired."""
    return planted(changed=False, slices=False)


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Any]:
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is absent: pip install -e .[dev]"
    )
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        started = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield started
        started.close()


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """`visit(html, width=..., scheme=..., anchor=...)` opens the text; nothing may be asked for or complained of."""
    asked: list[str] = []
    complaints: list[str] = []
    contexts = []

    def open_page(
        html: str, width: int = 1280, scheme: str = "light", anchor: str = "", scripts: bool = True
    ) -> Any:
        file = tmp_path / f"page-{len(contexts)}.html"
        file.write_text(html, encoding="utf-8")
        size = {"width": width, "height": 900}
        context = browser.new_context(
            viewport=size, color_scheme=scheme, java_script_enabled=scripts
        )
        contexts.append(context)
        tab = context.new_page()
        tab.on(
            "request",
            lambda r: None if r.url.startswith(("data:", file.as_uri())) else asked.append(r.url),
        )
        tab.on(
            "console",
            lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None,
        )
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(file.as_uri() + anchor)
        if scripts:
            settle(tab)
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert not asked
    assert not complaints
