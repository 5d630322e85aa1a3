"""Orderly stop after Ctrl-C or SIGTERM, deferred while work must not be interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignal(BaseException):
    """A signal requests the end of the process.

    Attributes:
        exit_code: exit code of the process: 130 after Ctrl-C, 143 after SIGTERM.
    """

    def __init__(self, signal_number: int) -> None:
        """Store the exit code of the signal with this number."""
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


def _raise_stop_signal(signal_number: int, frame: FrameType | None) -> None:
    raise StopSignal(signal_number)


def install_handlers() -> None:
    """Make both signals raise `StopSignal` in the main thread."""
    for number in STOP_SIGNALS:
        signal.signal(number, _raise_stop_signal)


@contextmanager
def defer_signals() -> Iterator[Callable[[], bool]]:
    """Defer a first signal to the end of the block, and raise it again there.

    A second signal stops the block at once. Outside the main thread, which alone receives signals,
    the block changes nothing.

    Yields:
        A function that returns whether a signal is waiting.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    received: list[int] = []

    def record_signal(number: int, frame: FrameType | None) -> None:
        if received:
            raise StopSignal(number)
        received.append(number)

    previous_handlers = {number: signal.signal(number, record_signal) for number in STOP_SIGNALS}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
    if received:
        signal.raise_signal(received[0])
