"""`make bench`: how fast the command line answers, against an interpreter that only starts."""

import statistics
import subprocess
import sys
import time


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def test_help() -> None:
    helps, bare = [], []
    for _ in range(9):  # alternating
        helps.append(_seconds([sys.executable, "-m", "pipeline.cli.app", "--help"]))
        bare.append(_seconds([sys.executable, "-c", "pass"]))
    median = statistics.median(helps)
    print(
        f"\n--help: median {median:.2f} s, {median / statistics.median(bare):.1f} times a bare "
        "interpreter"
    )
    assert min(helps) > 0
