"""How far the work is: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

EVERY = 10.0  # seconds between two plain lines
console = Console(stderr=True, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """Print one line to the log (standard error)."""
    console.print(line, markup=False)


def _bar(stage: str, items: Iterable[Any], total: int, what: str) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(f"{stage}: {what}", total=total, rate="")
        start = time.monotonic()
        for done, item in enumerate(items, 1):
            yield item
            rate = f"{done / max(time.monotonic() - start, 1e-9):,.0f} {what}/s"
            progress.update(task, completed=done, rate=rate)


def _lines(stage: str, items: Iterable[Any], total: int, what: str) -> Iterator[Any]:
    start = shown = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - shown >= EVERY and done < total:
            shown, rate = now, done / (now - start)
            say(f"  {stage}: {done:,} of {total:,} {what}, {rate:,.1f}/s, {(total - done) / rate:,.0f} s left")


def tracker(stage: str) -> Callable[..., Iterator[Any]]:
    """The `Track` of one stage, for this console."""

    def track(items: Iterable[Any], *, total: int, what: str) -> Iterator[Any]:
        return (_bar if sys.stderr.isatty() else _lines)(stage, items, total, what)

    return track


def counted(stage: str, items: Iterable[Any], what: str) -> Iterator[Any]:
    """The items, with a line now and then that says how many came and how fast; for work whose end is not known."""
    start = shown = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        if (now := time.monotonic()) - shown >= EVERY:
            shown = now
            say(f"  {stage}: {done:,} {what}, {done / (now - start):,.1f}/s")
    say(f"  {stage}: {done:,} {what} in {time.monotonic() - start:,.1f} s")
