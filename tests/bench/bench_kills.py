"""`make bench`.

A run SIGKILLed at random moments in every stage, NIGHTSHIFT_BENCH_KILLS times in all.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.kills import NAMES, format_kill_counts, kill_and_compare, run_undisturbed
from tests.night import config, draw

KILLS = int(os.environ.get("NIGHTSHIFT_BENCH_KILLS", "100"))


@pytest.mark.timeout(3 * 3600)
def test_killed_in_every_stage_it_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    """Each victim in a home of its own: nothing can be linked from another run. The images' night is real enough for
    retrain to train and for compare to open the test."""
    data, path = draw(tmp_path / "data"), tmp_path / "config.yaml"
    path.write_text(config(data, tmp_path))
    other = run_undisturbed(path, tmp_path / "undisturbed")
    assert (other.path.parent / "ledger.jsonl").is_file()
    killed, seed = Counter[str](), 0
    while killed.total() < KILLS:
        killed += kill_and_compare(path, tmp_path / f"home-{seed}", other, NAMES, seed)
        seed += 1
        print(format_kill_counts(killed), flush=True)
    assert set(killed) >= set(NAMES)
