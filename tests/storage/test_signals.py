import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from pipeline.storage import signals
from pipeline.storage.signals import StopSignal, defer_signals


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in signals.STOP_SIGNALS}
    signals.install_handlers()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_with_its_code(number: int, code: int) -> None:
    with pytest.raises(StopSignal) as caught:
        os.kill(os.getpid(), number)
    assert (caught.value.exit_code, str(caught.value)) == (code, signal.Signals(number).name)


def _send_signals(times: int, waiting: list[bool]) -> None:
    with defer_signals() as is_waiting:
        for _ in range(times):
            waiting.append(is_waiting())
            os.kill(os.getpid(), signal.SIGTERM)
        waiting.append(is_waiting())


def test_a_first_signal_is_deferred_and_a_second_is_not() -> None:
    once, twice = list[bool](), list[bool]()
    with pytest.raises(StopSignal):
        _send_signals(1, once)
    with pytest.raises(StopSignal):
        _send_signals(2, twice)
    assert (once, twice) == ([False, True], [False, True])
    _send_signals(0, once)
    assert once == [False, True, False]


def test_another_thread_defers_nothing() -> None:
    waiting = []

    def work() -> None:
        with defer_signals() as is_waiting:
            waiting.append(is_waiting())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert waiting == [False]


ASLEEP = """
import sys, time
from pipeline.cli import app as cli

@cli.app.command()
def sleep() -> None:
    print("asleep", flush=True)
    time.sleep(60)

sys.argv[1:] = ["sleep"]
cli.main()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_line_stops_with_one_line(number: int, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ASLEEP], stdout=-1, stderr=-1, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asleep\n"
        process.send_signal(number)
        _, error_text = process.communicate(timeout=30)
    assert (process.returncode, error_text) == (
        code,
        f"nightshift: stopped by {signal.Signals(number).name}\n",
    )
