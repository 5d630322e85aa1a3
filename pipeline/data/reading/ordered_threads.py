"""A map over threads that keeps the order of the items and bounds the results in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
MAX_DEFAULT_THREADS = 8
"""OpenCV and numpy release the interpreter; the Python between them does not."""
QUEUED_ITEMS_PER_THREAD = 8
"""Enough to keep every thread busy while one slow item holds up those behind it."""


def count_usable_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_in_order(
    items: Iterable[T],
    function: Callable[[T], R],
    thread_count: int | None = None,
    queue_size: int | None = None,
) -> Generator[R, None, None]:
    """Yield `function(item)` for each item in order, computed by threads ahead of the consumer.

    The consumer's thread takes the items. An error of `function` is raised when the result
    of its item is due. When the generator is closed early, no further item is started and no thread
    is left behind.

    Args:
        items: the items; they may be endless.
        function: the function; any thread may call it.
        thread_count: number of threads; None for one a core and at most 8; 0 computes each result
            in the consumer's thread when it is needed.
        queue_size: how many items may be in the queue, computed or not, behind the one that is
            needed next; None for 8 a thread.
    """
    if thread_count is None:
        thread_count = min(MAX_DEFAULT_THREADS, count_usable_cores())
    if thread_count == 0:
        yield from map(function, items)
        return
    if queue_size is None:
        queue_size = QUEUED_ITEMS_PER_THREAD * thread_count
    queue = deque[Future[R]]()
    pool = ThreadPoolExecutor(thread_count, thread_name_prefix="map-in-order")
    try:
        for item in items:
            queue.append(pool.submit(function, item))
            if len(queue) > queue_size:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
