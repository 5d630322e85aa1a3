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
def installed() -> Iterator[None]:
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


def _signalled(times: int, seen: list[bool]) -> None:
    with defer_signals() as asked:
        for _ in range(times):
            seen.append(asked())
            os.kill(os.getpid(), signal.SIGTERM)
        seen.append(asked())


def test_a_first_signal_is_put_off_and_a_second_is_not() -> None:
    once, twice = list[bool](), list[bool]()
    with pytest.raises(StopSignal):
        _signalled(1, once)
    with pytest.raises(StopSignal):
        _signalled(2, twice)
    assert (once, twice) == ([False, True], [False, True])
    _signalled(0, once)
    assert once == [False, True, False]


def test_another_thread_is_left_alone() -> None:
    seen = []

    def work() -> None:
        with defer_signals() as asked:
            seen.append(asked())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


ASLEEP = """
import sys, time
from pipeline import cli

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
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (
        code,
        f"nightshift: stopped by {signal.Signals(number).name}\n",
    )
