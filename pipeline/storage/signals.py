"""Ctrl-C and SIGTERM: an orderly stop, put off where work must not be torn."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignal(BaseException):
    """Somebody asked for a stop. `code`: what the process is to exit with, 130 after Ctrl-C and 143 after SIGTERM."""

    def __init__(self, signal_number: int) -> None:
        """number: the signal's."""
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


def _raise_stop_signal(signal_number: int, frame: FrameType | None) -> None:
    raise StopSignal(signal_number)


def install_handlers() -> None:
    """From now on both signals raise `Stopped` in the main thread."""
    for number in STOP_SIGNALS:
        signal.signal(number, _raise_stop_signal)


@contextmanager
def defer_signals() -> Iterator[Callable[[], bool]]:
    """Inside, a first signal waits until the end, where it is raised again; what is yielded says whether one waits.

    A second one is not put off. Elsewhere than in the main thread, which alone is signalled, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if came:
            raise StopSignal(number)
        came.append(number)

    before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])
