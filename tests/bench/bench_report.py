"""`make bench`: the report of 10,000 validation images in 10, 43 and 200 classes.

Measured: seconds to build it, its size, and the time until it is usable. NIGHTSHIFT_BENCH_IMAGES:
number of drawn images; 200 classes need about 8,000, so that a cell of the matrix has images.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts import StageContext
from pipeline.graph import get_stage
from pipeline.stages import report
from tests.factory import Factory

# Drawn images, of which three in ten are validation images.
IMAGES = int(os.environ.get("NIGHTSHIFT_BENCH_IMAGES", "33340"))
LOADS = 5  # times the page is opened, each in a new browser
USABLE_SCRIPT = """addEventListener("DOMContentLoaded", () => {
  document.querySelector(".cell").click();
  document.querySelector("#cell figure").offsetHeight;
  window.usable = performance.now();
});"""
MATRIX_SCRIPT = """() => {
  const began = performance.now();
  document.querySelector("#whole").click();
  document.body.offsetHeight;
  return performance.now() - began;
}"""
MAX_CPU_SECONDS, MAX_BYTES, MAX_MILLISECONDS = 5.0, 3_000_000, 1_000.0


@pytest.fixture(scope="module", params=[10, 43, 200])
def artifacts(request: pytest.FixtureRequest) -> dict[str, Any]:
    names = [f"class {number:03d}" for number in range(request.param)]
    return Factory(names, IMAGES).make()


def load_page(page: Path, chromium: str) -> tuple[list[float], float]:
    """Return the time until the images of a clicked cell are shown, and for the whole matrix.

    Returns:
        Milliseconds from the start of each load, sorted; milliseconds for the whole matrix, 0 if
        the page shows it anyway.
    """
    sync_api = pytest.importorskip("playwright.sync_api")
    usable_times, matrix_time = [], 0.0
    with sync_api.sync_playwright() as playwright:
        for _ in range(LOADS):
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.add_init_script(USABLE_SCRIPT)
            tab.goto(page.as_uri())
            usable_times.append(float(tab.evaluate("window.usable")))
            if tab.locator("#whole").count():
                matrix_time = float(tab.evaluate(MATRIX_SCRIPT))
            browser.close()
    return sorted(usable_times), matrix_time


def test_a_large_report_is_built_soon_and_usable_at_once(
    artifacts: dict[str, Any], tmp_path: Path, chromium: str
) -> None:
    inputs = {name: artifacts[name] for name in get_stage("report").needs}
    context = StageContext("bench", 0, tmp_path, tmp_path)
    began, cpu_began = time.perf_counter(), time.process_time()
    folder = report.run(report.Config(), context, **inputs)["html"]
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    page = folder / "index.html"
    usable_times, matrix_time = load_page(page, chromium)
    class_count, val_count = len(artifacts["classes"]["names"]), len(artifacts["flips"])
    print(
        f"\n{class_count} classes, {val_count:,} validation images: built in {seconds:.1f} s "
        f"({cpu_seconds:.1f} s of processor), {page.stat().st_size:,} bytes; a clicked cell shows "
        f"its images {statistics.median(usable_times):.0f} ms after the start (median of {LOADS}, "
        f"{usable_times[0]:.0f} to {usable_times[-1]:.0f}), the whole matrix takes "
        f"{matrix_time:.0f} ms; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    assert page.stat().st_size <= MAX_BYTES
    # Other processes slow the wall clock and some of the loads.
    assert cpu_seconds <= MAX_CPU_SECONDS
    assert usable_times[0] <= MAX_MILLISECONDS
