"""The pictures of README.md, taken from the page of a run: `make pictures RUN=reports/<run_id>`.

`first_screen.webp` is what a reader sees first; `tour.webp` moves through the page in 15 seconds.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image
from playwright.sync_api import sync_playwright

from pipeline.integrations.page_printing import find_browser

WIDTH, HEIGHT = 1120, 700
TOUR_WIDTH = 800
"""Width of the moving picture: the text can be read, and it stays under 1.5 MB."""
TOUR_SECONDS = 15.0
MAX_TOUR_BYTES = 1_500_000
QUALITIES = (70, 55, 40, 25)
SCROLL_FRAMES, SCROLL_MILLISECONDS = 4, 60
STOPS = ("#failure_slices", "#treatment_story", "#confusion_matrix", "#changed_images")
"""Sections that the tour visits, if the page has them."""
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
Frames = list[tuple[Image.Image, int]]


def take_pictures(page: Path, output: Path) -> list[Path]:
    """Write both pictures into a folder, and return their paths.

    Args:
        page: the `index.html` of a run.
        output: the folder.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=ARGUMENTS)
        size = {"width": WIDTH, "height": HEIGHT}
        tab = browser.new_page(viewport=size, color_scheme="light", reduced_motion="reduce")
        tab.goto(page.resolve().as_uri())
        first = _take_frame(tab)
        frames = _tour_page(tab, first)
        browser.close()
    still, tour = output / "first_screen.webp", output / "tour.webp"
    first.save(still, quality=85, method=6)
    tour.write_bytes(_encode_tour(frames))
    return [still, tour]


def _take_frame(tab: Any) -> Image.Image:
    return Image.open(io.BytesIO(tab.screenshot())).convert("RGB")


def _tour_page(tab: Any, first: Image.Image) -> Frames:
    """Return frames with their milliseconds: the sections, and the images behind a matrix cell."""
    stops = [stop for stop in STOPS if tab.locator(stop).count()]
    scenes = len(stops) + 2
    moving = SCROLL_FRAMES * SCROLL_MILLISECONDS * len(stops)
    still = round((1000 * TOUR_SECONDS - moving) / scenes)
    frames = [(first, still)]
    for stop in stops:
        frames += _scroll_to(tab, stop)
        frames.append((_take_frame(tab), still))
        cell = tab.locator(f"{stop} .wrong4, {stop} .wrong3, {stop} .wrong2").first
        if stop == "#confusion_matrix" and cell.count():
            cell.click()
            tab.wait_for_timeout(300)
            frames.append((_take_frame(tab), still))
    return frames


def _scroll_to(tab: Any, selector: str) -> Frames:
    top = tab.evaluate("selector => document.querySelector(selector).offsetTop", selector)
    start = tab.evaluate("scrollY")
    frames = []
    for step in range(1, SCROLL_FRAMES + 1):
        part = step / (SCROLL_FRAMES + 1)
        target = start + (top - 60 - start) * part * part * (3 - 2 * part)
        tab.evaluate("top => scrollTo({top, behavior: 'instant'})", target)
        frames.append((_take_frame(tab), SCROLL_MILLISECONDS))
    tab.locator(selector).scroll_into_view_if_needed()
    tab.evaluate(
        "selector => document.querySelector(selector).scrollIntoView({behavior: 'instant'})",
        selector,
    )
    tab.wait_for_timeout(300)
    return frames


def _encode_tour(frames: Frames) -> bytes:
    """Return an animated WebP under `MAX_TOUR_BYTES`, of the best quality that fits."""
    small = [
        image.resize((TOUR_WIDTH, round(TOUR_WIDTH * HEIGHT / WIDTH)), Image.Resampling.LANCZOS)
        for image, _ in frames
    ]
    durations = [duration for _, duration in frames]
    for quality in QUALITIES:
        buffer = io.BytesIO()
        options = {"quality": quality, "method": 4, "loop": 0, "duration": durations}
        small[0].save(buffer, "WEBP", save_all=True, append_images=small[1:], **options)
        if buffer.tell() <= MAX_TOUR_BYTES:
            return buffer.getvalue()
    raise SystemExit(f"the tour takes more than {MAX_TOUR_BYTES:,} bytes")


def main(
    page: Annotated[Path, typer.Argument(help="The folder of a published run.")],
    output: Annotated[Path, typer.Argument(help="The folder of the pictures.")],
) -> None:
    """Take the pictures of README.md."""
    for path in take_pictures(page / "index.html", output):
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    typer.run(main)
