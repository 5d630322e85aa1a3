"""`make bench`: a run is killed at random moments in every stage, and resumes to the same end.

NIGHTSHIFT_BENCH_KILLS: number of kills in all.
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
    """Each run has a separate runs folder, so that no stage is linked from another run.

    The night of the images is real enough for `retrain` to train and for `compare` to open the
    test set.
    """
    data, config_file = draw(tmp_path / "data"), tmp_path / "config.yaml"
    config_file.write_text(config(data, tmp_path))
    undisturbed = run_undisturbed(config_file, tmp_path / "undisturbed")
    assert (undisturbed.path.parent / "ledger.jsonl").is_file()
    kill_counts, seed = Counter[str](), 0
    while kill_counts.total() < KILLS:
        home = tmp_path / f"home-{seed}"
        kill_counts += kill_and_compare(config_file, home, undisturbed, NAMES, seed)
        seed += 1
        print(format_kill_counts(kill_counts), flush=True)
    assert set(kill_counts) >= set(NAMES)
