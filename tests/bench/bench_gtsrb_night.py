"""`make bench`: the day-trained protocol on real traffic signs, against its oracle. Prints; asserts only that it ran.

NIGHTSHIFT_RUN names a finished run of configs/gtsrb_night.yaml to measure; without it one is made.
"""

import os
import time
from pathlib import Path

import pytest

from pipeline.engine import runner
from pipeline.stages import retrain
from pipeline.storage.artifact_store import RunFolder
from tests.bench.gtsrb import measure

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.data
@pytest.mark.timeout(3600)
def test_closure_on_the_sealed_test(gtsrb: Path, tmp_path: Path) -> None:
    named = os.environ.get("NIGHTSHIFT_RUN")
    settings = runner.load_config(
        ROOT / "configs" / "gtsrb_night.yaml",
        [f"ingest.data={gtsrb}", f"runs={tmp_path / 'runs'}", f"reports={tmp_path / 'reports'}"],
    )
    began = time.monotonic()
    run = (
        RunFolder.open_existing(Path(named))
        if named
        else runner.execute_run(runner.create_run_folder(settings), settings).run
    )
    if not named:
        print(f"\nthe run took {time.monotonic() - began:.0f} s")
    budget = settings.stages["retrain"]
    assert isinstance(budget, retrain.Config)
    figures = measure(run, budget, tmp_path / "oracle")
    for part, row in figures["rows"].items():
        print(f"{part:<10}" + "".join(f"  {k} {v}" for k, v in row.items()))
    print(
        f"closure on dark images {figures['closure']:.2f} ({figures['low']:.2f} to "
        f"{figures['high']:.2f} by track)"
    )
    assert figures["rows"]["dark"]["n"] > 0
