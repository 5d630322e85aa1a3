"""The report of 10,000 validation photos in 10, 43 and 200 classes: seconds to build, size, time until it is usable."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts import Context
from pipeline.graph import stage
from pipeline.stages import report
from tests.factory import Factory

PHOTOS = 33_340  # drawn photos, of which three in ten are validation
WHOLE = """() => {
  const began = performance.now();
  document.querySelector("#whole").click();
  document.body.offsetHeight;
  return performance.now() - began;
}"""
SECONDS, BYTES, USABLE = 5.0, 10_000_000, 1_000.0


@pytest.fixture(scope="module", params=[10, 43, 200])
def made(request: pytest.FixtureRequest) -> dict[str, Any]:
    names = [f"class {k:03d}" for k in range(request.param)]
    return Factory(names, PHOTOS).make()


def test_a_large_report_is_built_soon_and_usable_at_once(made: dict[str, Any], tmp_path: Path, chromium: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    inputs = {name: made[name] for name in stage("report").needs}
    began, spent = time.perf_counter(), time.process_time()
    folder = report.run(report.Config(), Context("bench", 0, tmp_path, tmp_path), **inputs)["html"]
    seconds, busy = time.perf_counter() - began, time.process_time() - spent
    page = folder / "index.html"
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.goto(page.as_uri())
        usable = float(tab.evaluate("performance.getEntriesByType('navigation')[0].domInteractive"))
        whole = 0.0
        if tab.locator("#whole").count():
            whole = float(tab.evaluate(WHOLE))
        browser.close()
    classes, val = len(made["classes"]["names"]), len(made["flips"])
    print(
        f"\n{classes} classes, {val:,} validation photos: built in {seconds:.1f} s ({busy:.1f} s of processor), "
        f"{page.stat().st_size:,} bytes, "
        f"usable after {usable:.0f} ms, the whole matrix after {whole:.0f} ms"
    )
    assert page.stat().st_size <= BYTES
    assert busy <= SECONDS  # the clock on the wall is not ours alone
    assert usable <= USABLE
