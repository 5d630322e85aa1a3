"""Progress of long loops: a bar on a terminal, plain lines at intervals elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LOG_INTERVAL_SECONDS = 10.0
"""Seconds between two plain lines: a log of an hour stays under 400 lines."""
console = Console(stderr=True, highlight=False, soft_wrap=True)


def log_line(line: str) -> None:
    """Print one line to the log (standard error)."""
    text = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in line)
    console.print(text, markup=False)


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
        for count, item in enumerate(items, 1):
            yield item
            rate = f"{count / max(time.monotonic() - start, 1e-9):,.0f} {unit}/s"
            progress.update(task, completed=count, rate=rate)


def _iterate_with_lines(stage: str, items: Iterable[Any], total: int, unit: str) -> Iterator[Any]:
    start = last_line = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last_line >= LOG_INTERVAL_SECONDS and count < total:
            last_line = now
            rate = count / (now - start)
            remaining = f"{(total - count) / rate:,.0f} s left"
            log_line(f"  {stage}: {count:,} of {total:,} {unit}, {rate:,.1f}/s, {remaining}")


def create_tracker(stage: str) -> Callable[..., Iterator[Any]]:
    """Return the `ProgressTracker` of a stage: a bar on a terminal, else lines."""

    def track(items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        iterate = _iterate_with_bar if sys.stderr.isatty() else _iterate_with_lines
        return iterate(stage, items, total, unit)

    return track


def iterate_with_count(stage: str, items: Iterable[Any], unit: str) -> Iterator[Any]:
    """Yield the items, and log their count and rate at intervals and at the end.

    Args:
        stage: the first word of each line.
        items: what the loop runs over; its length may be unknown.
        unit: plural noun for the items.
    """
    start = last_line = time.monotonic()
    count = 0
    for item in items:
        yield item
        count += 1
        now = time.monotonic()
        if now - last_line >= LOG_INTERVAL_SECONDS:
            last_line = now
            log_line(f"  {stage}: {count:,} {unit}, {count / (now - start):,.1f}/s")
    log_line(f"  {stage}: {count:,} {unit} in {time.monotonic() - start:,.1f} s")
