import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from pipeline.data.reading.ordered_threads import QUEUED_ITEMS_PER_THREAD, map_in_order


@pytest.mark.parametrize("thread_count", [0, 1, 3, None])
def test_results_keep_the_order_of_the_items(thread_count: int | None) -> None:
    def square_slowly(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return item * item

    squares = list(map_in_order(range(30), square_slowly, thread_count))
    assert squares == [item * item for item in range(30)]
    assert list(map_in_order([], square_slowly, thread_count)) == []


@pytest.mark.parametrize("thread_count", [0, 1, 3])
def test_an_error_is_raised_when_its_result_is_due(thread_count: int) -> None:
    started: list[int] = []

    def fail_at_seven(item: int) -> int:
        started.append(item)
        if item == 7:
            raise ValueError("seven")
        return item

    results: list[int] = []
    with pytest.raises(ValueError, match="seven"):
        results.extend(map_in_order(range(30), fail_at_seven, thread_count, thread_count))
    assert results == list(range(7))
    assert max(started) <= 7 + thread_count


def test_the_queue_is_bounded_and_no_thread_is_left() -> None:
    started: list[int] = []
    threads_before = threading.active_count()
    with closing(map_in_order(range(1000), started.append, 3, queue_size=3)) as results:
        next(results)
        time.sleep(0.1)
        assert threading.active_count() > threads_before
    assert max(started) <= 4
    assert threading.active_count() == threads_before


def test_the_default_queue_holds_some_items_a_thread() -> None:
    started: list[int] = []
    with closing(map_in_order(range(5000), started.append, 2)) as results:
        for _ in range(10):
            next(results)
        time.sleep(0.1)
    assert 10 <= len(started) <= 10 + 2 * QUEUED_ITEMS_PER_THREAD


def test_items_are_taken_by_the_thread_of_the_consumer() -> None:
    def name_threads() -> Iterator[str]:
        for _ in range(20):
            yield threading.current_thread().name

    def pair_names(item_thread: str) -> tuple[str, str]:
        return item_thread, threading.current_thread().name

    for item_thread, function_thread in map_in_order(name_threads(), pair_names, 2):
        assert item_thread == threading.current_thread().name
        assert function_thread != item_thread
