"""`make bench-faults`.

Every command that changes runs, under a kill, a full disk and an error of the disk at every file
operation; two at once in every pair; wrong clocks; and an erasure killed at random. The figures go
into RESULTS.md. NIGHTSHIFT_BENCH_KILLS sets the number of random kills, 200 otherwise, and
NIGHTSHIFT_BENCH_OPERATIONS bounds the operations of each command, all otherwise.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.bench.results_file import write_section
from tests.dags.tiny import build_config, draw_images
from tests.helpers.fault_cases import (
    CASES,
    Case,
    HomeState,
    build_home,
    copy_home,
    count_operations,
    find_traces,
    try_fault,
    try_pair,
)
from tests.helpers.fault_injection import FAULTS, KILL, Fault, run_command

RESULTS = Path(__file__).with_name("RESULTS.md")
KILLS = int(os.environ.get("NIGHTSHIFT_BENCH_KILLS", "200"))
KILL_SEEDS = 4
MAX_OPERATIONS = int(os.environ.get("NIGHTSHIFT_BENCH_OPERATIONS", "100000"))
"""Operations of a command that are tried, spread evenly; all by default."""
CLOCK_JUMPS = (-30 * 365 * 86400.0, -3600.0, 3600.0, 172 * 365 * 86400.0)
"""Seconds: to 1996, the two ends of summer time, to 2198."""
TRIES_OF_A_PAIR = 3
STAGES = [
    Case(
        "run", ("run", "-c", "c.yaml", "--resume", "new", "--runs", "runs", "--to-stage", "split")
    ),
    Case(
        "stage", ("stage", "measure", "--run", "new", "-c", "c.yaml", "--runs", "runs", "--force")
    ),
]
MAX_STAGE_OPERATIONS = 20
"""Operations of `run` and `stage` that are tried: they read images each time."""
STAGES_TEXT = (
    f"`run --to-stage split` and `stage measure --force` on 48 images of 32 px, at "
    f"{MAX_STAGE_OPERATIONS} operations spread evenly. Whole runs are killed by `bench_kills`."
)
KILLS_TEXT = (
    "`nightshift runs forget`, killed at random file operations and called again until it ends. "
    "Then id, name, content hash and pixels of the image are searched in every file."
)
FAULTS_TITLE = "Faults at every file operation"
FAULTS_TEXT = (
    "SIGKILL, ENOSPC (the disk stays full) and EIO, at each file operation of Python. Afterwards "
    "the champion can be loaded, every finished stage is intact, and a repeat succeeds; after "
    "`forget` neither id, name nor pixels of the image are in runs or reports. There is no "
    "command `label apply` yet."
)
pytestmark = pytest.mark.timeout(3 * 3600)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_home(tmp_path_factory.mktemp("faults"))


def _write_row(title: str, introduction: str, row: dict[str, object]) -> None:
    """Put a row into the table of a section, in the place of the row of the same command."""
    text = RESULTS.read_text(encoding="utf-8")
    section = text.partition(f"## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][2:]
    cells = "| " + " | ".join(str(value) for value in row.values()) + " |"
    name = cells.split(" | ")[0]
    lines = sorted([line for line in lines if line.split(" | ")[0] != name] + [cells])
    head = ["| " + " | ".join(row) + " |", "| --- " * len(row) + "|"]
    write_section(RESULTS, title, "\n".join([introduction, "", *head, *lines]))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_every_fault_at_every_operation(case: Case, base: Path, tmp_path: Path) -> None:
    count = count_operations(base, tmp_path, case)
    tried = sorted({*np.linspace(1, count, min(count, MAX_OPERATIONS)).astype(int).tolist()})
    problems, start = [], time.monotonic()
    for kind, operation in itertools.product(FAULTS, tried):
        problems += try_fault(base, tmp_path, case, Fault(kind, operation))
    row = {"command": case.name, "file operations": count, "operations tried": len(tried)}
    row |= {"faults": len(tried) * len(FAULTS), "lost": len(problems)}
    seconds = f"{time.monotonic() - start:,.0f}"
    _write_row(FAULTS_TITLE, FAULTS_TEXT, {**row, "seconds": seconds})
    assert problems == []


def test_two_at_once_in_every_pair(base: Path, tmp_path: Path) -> None:
    problems, count = [], 0
    for first, second in itertools.combinations_with_replacement(CASES, 2):
        for _ in range(TRIES_OF_A_PAIR):
            problems += try_pair(base, tmp_path, first, second)
            count += 1
    write_section(
        RESULTS,
        "Two commands at once",
        f"{count} runs of {count // TRIES_OF_A_PAIR} pairs; lost: {len(problems)}.",
    )
    assert problems == []


def test_wrong_clocks(base: Path, tmp_path: Path) -> None:
    problems, count = [], 0
    for case, offset in itertools.product(CASES, CLOCK_JUMPS):
        for operation in (0, max(1, count_operations(base, tmp_path, case) // 2)):
            fault = Fault(operation=operation, clock_offset=offset)
            problems += try_fault(base, tmp_path, case, fault)
            count += 1
    write_section(
        RESULTS,
        "Clock jumps",
        f"{count} commands with a clock that is wrong from the start or jumps half-way (to 1996, "
        f"an hour back, an hour on, to 2198); lost: {len(problems)}.",
    )
    assert problems == []


@pytest.mark.parametrize("seed", range(KILL_SEEDS))
def test_an_erasure_killed_at_random_leaves_no_trace(seed: int, base: Path, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "forget")
    rng, kills, problems = np.random.default_rng(seed), 0, []
    count = count_operations(base, tmp_path, case)
    tries = Counter[int]()
    while kills < KILLS // KILL_SEEDS:
        home, state = copy_home(base, tmp_path), HomeState.read(base)
        tries_here = 0
        while True:
            fault = Fault(KILL, int(rng.integers(1, count + 1)))
            code, _ = run_command(case.arguments, home, fault)
            tries_here += 1
            if code != -9:
                break
            kills += 1
        tries[tries_here] += 1
        code, _ = run_command(case.arguments, home)
        if code not in (0, 2):
            problems.append(f"exit code {code}")
        problems += state.find_losses(home, (), is_erasing=True)
        problems += find_traces(home / "runs") + find_traces(home / "reports")
    row = {"seed": seed, "kills": kills, "folders of runs": tries.total()}
    row |= {"calls of one folder at most": max(tries), "traces or losses": len(problems)}
    _write_row("An erasure killed at random", KILLS_TEXT, row)
    assert problems == []


def test_run_and_stage_on_real_images(base: Path, tmp_path: Path) -> None:
    home = copy_home(base, tmp_path / "real")
    draw_images(home / "images")
    config = build_config(home / "images").replace("name: gate", "name: tiny")
    (home / "c.yaml").write_text(config + "tracking: {mlflow: false}\n")
    prepared = ("stage", "ingest", "--run", "new", "-c", "c.yaml", "--runs", "runs")
    log = tmp_path / "log"
    assert run_command(prepared, home, output=log)[0] == 0, log.read_text()
    problems = []
    for case in STAGES:
        count = count_operations(home, tmp_path, case)
        operations = sorted({*np.linspace(1, count, MAX_STAGE_OPERATIONS).astype(int).tolist()})
        found = []
        for kind, operation in itertools.product(FAULTS, operations):
            found += try_fault(home, tmp_path, case, Fault(kind, operation))
        row = {"command": case.name, "file operations": count}
        row |= {"faults": len(operations) * len(FAULTS), "lost": len(found)}
        _write_row("Faults in run and stage", STAGES_TEXT, row)
        problems += found
    assert problems == []
