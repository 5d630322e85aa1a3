"""Report pages of drawn artifacts, and a browser that must make no network request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.figures.augmentation_previews import build_previews
from pipeline.report.figures.contact_sheets import rank_informative_images
from pipeline.report.figures.thumbnails import ThumbnailMode, ThumbnailStore, index_rows
from pipeline.report.report_page import AugmentationPreview, ReportPage
from tests.factory import planted

FACTS = {
    "config": "name: demo\ntrain:\n  steps: 800\n",
    "versions": {"nightshift": "0.1.0", "python": "3.11.9"},
    "stages": [
        {"name": "ingest", "seconds": 8.21, "notes": ["two files were rejected"]},
        {"name": "train", "seconds": 133.0, "notes": []},
    ],
}


_PREVIEWS: dict[int, list[AugmentationPreview]] = {}


def _build_previews_once(pixels_id: int, made: dict[str, Any]) -> list[AugmentationPreview]:
    """Return the previews of drawn images; `planted` draws these once, so they are cached too."""
    if pixels_id not in _PREVIEWS:
        _PREVIEWS[pixels_id] = list(build_previews(made, 7))
    return _PREVIEWS[pixels_id]


def build_page(
    made: dict[str, Any],
    mode: ThumbnailMode = "full",
    budget: int = 10_000_000,
    contact: int = 24,
    reviews: dict[str, Any] | None = None,
) -> ReportPage:
    """Return the page of artifacts, with thumbnails within the byte budget."""
    thumbnails = ThumbnailStore(made["pixels"], index_rows(made["images"]["image_id"]), mode)
    previews = _build_previews_once(id(made["pixels"]), made) if made["plan"].size else ()
    page = ReportPage(
        made, "demo-1", 7, thumbnails, FACTS, ["a late note"], contact, previews, reviews or {}
    )
    thumbnails.set_order(rank_informative_images(page))
    thumbnails.fit_budget(budget, 300)
    return page


def list_axe_violations(tab: Any) -> list[str]:
    """Return the violations that axe-core finds in the page, with the HTML of each."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is absent: pip install -e .[dev]"
    )
    violations = axe.Axe().run(tab).response["violations"]
    return [f"{v['id']}: {node['html'][:120]}" for v in violations for node in v["nodes"]]


def wait_for_layout(tab: Any) -> None:
    """Wait until every section is laid out; before that, a section out of view has no text."""
    if tab.locator("#viewer").count():
        tab.locator(".part:not(.revealed)").first.wait_for(state="detached")


@pytest.fixture(scope="session")
def made() -> dict[str, Any]:
    """Return the artifacts of a promoted run."""
    return planted()


@pytest.fixture
def page(made: dict[str, Any]) -> ReportPage:
    """Return the page of a promoted run."""
    return build_page(made)


@pytest.fixture(scope="session")
def quiet() -> dict[str, Any]:
    """Return the artifacts of a run without slices and without retraining."""
    return planted(changed=False, slices=False)


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Any]:
    """Start Chromium."""
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
    """Yield `visit(html, width=..., scheme=..., anchor=...)`, which opens a page.

    The test fails if a page makes a request or logs an error or warning.
    """
    requests: list[str] = []
    errors: list[str] = []
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

        def record_request(request: Any) -> None:
            if not request.url.startswith(("data:", file.as_uri())):
                requests.append(request.url)

        def record_message(message: Any) -> None:
            if message.type in ("error", "warning"):
                errors.append(message.text)

        tab.on("request", record_request)
        tab.on("console", record_message)
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(file.as_uri() + anchor)
        if scripts:
            wait_for_layout(tab)
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert not requests
    assert not errors
