"""Commands that change runs, killed or hit by a disk's errors at every file operation.

`make bench-faults` tries all commands and pairs; here is what takes seconds.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.helpers.fault_cases import CASES, build_home, count_operations, try_fault, try_pair
from tests.helpers.fault_injection import DISK_ERROR, FULL_DISK, KILL, Fault, run_command

BY_NAME = {case.name: case for case in CASES}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_home(tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("name", BY_NAME)
def test_nothing_is_lost_by_faults_at_some_operations(
    name: str, base: Path, tmp_path: Path
) -> None:
    count = count_operations(base, tmp_path, BY_NAME[name])
    assert count > 0
    problems = []
    kinds = itertools.cycle((KILL, FULL_DISK, KILL, DISK_ERROR))
    for operation in range(1, count + 1, max(1, count // 6)):
        problems += try_fault(base, tmp_path, BY_NAME[name], Fault(next(kinds), operation))
    assert problems == []


def test_two_at_once_lose_nothing(base: Path, tmp_path: Path) -> None:
    problems = []
    for other in ("promote", "rollback"):
        problems += try_pair(base, tmp_path, BY_NAME["prune"], BY_NAME[other])
    assert problems == []


def test_a_fault_is_injected(base: Path, tmp_path: Path) -> None:
    """The harness itself can fail."""
    case = BY_NAME["pin"]
    home = tmp_path / "home"
    (home / "runs").mkdir(parents=True)
    assert run_command(case.arguments, home)[0] == 2
    codes = set()
    for kind in (KILL, FULL_DISK):
        build = tmp_path / kind
        build.mkdir()
        codes.add(run_command(case.arguments, build_home(build), Fault(kind, 1))[0])
    assert codes == {-9, 2}
