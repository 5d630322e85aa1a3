"""`make bench`: how fast the command line answers, against an interpreter that only starts."""

import statistics
import subprocess
import sys
import time

ROUNDS = 9


def _measure_seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def test_help() -> None:
    help_seconds, bare_seconds = [], []
    for _ in range(ROUNDS):  # alternating
        help_seconds.append(_measure_seconds([sys.executable, "-m", "pipeline.cli.app", "--help"]))
        bare_seconds.append(_measure_seconds([sys.executable, "-c", "pass"]))
    median = statistics.median(help_seconds)
    ratio = median / statistics.median(bare_seconds)
    print(f"\n--help: median {median:.2f} s, {ratio:.1f} times a bare interpreter")
    assert min(help_seconds) > 0
