"""Ctrl-C and SIGTERM: an orderly stop, put off where work must not be torn."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """Somebody asked for a stop. `code`: what the process is to exit with, 130 after Ctrl-C and 143 after SIGTERM."""

    def __init__(self, number: int) -> None:
        """number: the signal's."""
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


def install() -> None:
    """From now on both signals raise `Stopped` in the main thread."""
    for number in SIGNALS:
        signal.signal(number, _stop)


@contextmanager
def put_off() -> Iterator[Callable[[], bool]]:
    """Inside, a first signal waits until the end, where it is raised again; what is yielded says whether one waits.

    A second one is not put off. Elsewhere than in the main thread, which alone is signalled, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if came:
            raise Stopped(number)
        came.append(number)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])
