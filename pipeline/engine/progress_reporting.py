"""How far the work is: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LOG_INTERVAL_SECONDS = 10.0  # seconds between two plain lines
console = Console(stderr=True, highlight=False, soft_wrap=True)


def log_line(line: str) -> None:
    """Print one line to the log (standard error)."""
    console.print(line, markup=False)


def _iterate_with_bar(stage: str, items: Iterable[Any], total: int, unit: str) -> Iterator[Any]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(f"{stage}: {unit}", total=total, rate="")
        start = time.monotonic()
        for done, item in enumerate(items, 1):
            yield item
            rate = f"{done / max(time.monotonic() - start, 1e-9):,.0f} {unit}/s"
            progress.update(task, completed=done, rate=rate)


def _iterate_with_lines(stage: str, items: Iterable[Any], total: int, unit: str) -> Iterator[Any]:
    start = shown = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - shown >= LOG_INTERVAL_SECONDS and done < total:
            shown, rate = now, done / (now - start)
            log_line(
                f"  {stage}: {done:,} of {total:,} {unit}, {rate:,.1f}/s, {(total - done) / rate:,.0f} s left"
            )


def create_tracker(stage: str) -> Callable[..., Iterator[Any]]:
    """The `Track` of one stage, for this console."""

    def track(items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        return (_iterate_with_bar if sys.stderr.isatty() else _iterate_with_lines)(
            stage, items, total, unit
        )

    return track


def iterate_with_count(stage: str, items: Iterable[Any], unit: str) -> Iterator[Any]:
    """The items, with a line now and then that says how many came and how fast; for work whose end is not known."""
    start = shown = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        if (now := time.monotonic()) - shown >= LOG_INTERVAL_SECONDS:
            shown = now
            log_line(f"  {stage}: {done:,} {unit}, {done / (now - start):,.1f}/s")
    log_line(f"  {stage}: {done:,} {unit} in {time.monotonic() - start:,.1f} s")
