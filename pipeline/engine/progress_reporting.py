"""Progress of long loops: a bar on a terminal, plain lines at intervals elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from pipeline.engine.run_progress import RunProgress

LOG_INTERVAL_SECONDS = 10.0
"""Seconds between two plain lines: a log of an hour stays under 400 lines."""
console = Console(stderr=True, highlight=False, soft_wrap=True)


def log_line(line: str) -> None:
    """Print one line to the log (standard error)."""
    text = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in line)
    console.print(text, markup=False)


@dataclass
class _Display:
    """The progress of the present run, and the bars on a terminal."""

    run: RunProgress | None = None
    bars: Progress | None = None


_display = _Display()


class _RunColumn(ProgressColumn):
    """Stage and time of the run; other rows show their own status."""

    def render(self, task: Task) -> Text:
        run = task.fields.get("run")
        return Text(run.describe() if run else task.fields["status"])


@contextmanager
def show_run(run: RunProgress) -> Iterator[None]:
    """Show the progress of a run until the block ends.

    On a terminal a line with stage, time and estimate changes every second, whatever the stage
    does. Elsewhere the loops' own lines name the estimate.
    """
    _display.run = run
    try:
        if not sys.stderr.isatty():
            yield
            return
        with _open_bars() as bars:
            _display.bars = bars
            bars.add_task("", total=None, run=run)
            yield
    finally:
        _display.run = _display.bars = None


@contextmanager
def show_status(words: str) -> Iterator[None]:
    """Show on a terminal that work without a loop goes on, until the block ends; nothing elsewhere.

    Args:
        words: the work that goes on.
    """
    with console.status(words) if sys.stderr.isatty() else nullcontext():
        yield


def _open_bars() -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=20))
    return Progress(*columns, _RunColumn(), console=console, transient=True, refresh_per_second=2)


def _count_loop(total: int) -> AbstractContextManager[Callable[[int], None]]:
    """Return a context whose function notes the loop's count in the present run, if any."""
    run = _display.run
    return nullcontext(lambda count: None) if run is None else run.count_loop(total)


def _iterate_with_bar(
    stage: str, items: Iterable[Any], total: int, unit: str, note_count: Callable[[int], None]
) -> Iterator[Any]:
    with _open_bars() if _display.bars is None else nullcontext(_display.bars) as bars:
        task = bars.add_task(stage, total=total, status=f"0 of {total:,} {unit}")
        start = time.monotonic()
        try:
            for count, item in enumerate(items, 1):
                yield item
                note_count(count)
                rate = count / max(time.monotonic() - start, 1e-9)
                left = f"{(total - count) / rate:,.0f} s left"
                status = f"{count:,} of {total:,} {unit}, {rate:,.1f}/s, {left}"
                bars.update(task, completed=count, status=status)
        finally:
            bars.remove_task(task)


def _iterate_with_lines(
    stage: str, items: Iterable[Any], total: int, unit: str, note_count: Callable[[int], None]
) -> Iterator[Any]:
    start = last_line = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        note_count(count)
        now = time.monotonic()
        if now - last_line >= LOG_INTERVAL_SECONDS and count < total:
            last_line = now
            rate = count / (now - start)
            remaining = f"{(total - count) / rate:,.0f} s left"
            estimate = f"; {_display.run.describe()}" if _display.run else ""
            log_line(
                f"  {stage}: {count:,} of {total:,} {unit}, {rate:,.1f}/s, {remaining}{estimate}"
            )


def create_tracker(stage: str) -> Callable[..., Iterator[Any]]:
    """Return the `ProgressTracker` of a stage: a bar on a terminal, else lines."""

    def track(items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        iterate = _iterate_with_bar if sys.stderr.isatty() else _iterate_with_lines
        with _count_loop(total) as note_count:
            yield from iterate(stage, items, total, unit, note_count)

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
