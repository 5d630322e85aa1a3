"""`make bench`: the day-trained protocol on real traffic signs, against its oracle.

It prints figures and asserts only that it ran. NIGHTSHIFT_RUN: a finished run of
configs/gtsrb_night.yaml to measure; without it one is made.
"""

import os
import time
from pathlib import Path

import pytest

from pipeline.engine import runner
from pipeline.stages import retrain
from pipeline.storage.artifact_store import RunFolder
from tests.bench.gtsrb import measure_closure

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.data
@pytest.mark.timeout(3600)
def test_closure_on_the_sealed_test(gtsrb: Path, tmp_path: Path) -> None:
    config = runner.load_config(
        ROOT / "configs" / "gtsrb_night.yaml",
        [f"ingest.data={gtsrb}", f"runs={tmp_path / 'runs'}", f"reports={tmp_path / 'reports'}"],
    )
    finished_run = os.environ.get("NIGHTSHIFT_RUN")
    if finished_run:
        run = RunFolder.open_existing(Path(finished_run))
    else:
        began = time.monotonic()
        run = runner.execute_run(runner.create_run_folder(config), config).run
        print(f"\nthe run took {time.monotonic() - began:.0f} s")
    settings = config.stages["retrain"]
    assert isinstance(settings, retrain.Config)
    result = measure_closure(run, settings, tmp_path / "oracle")
    for subset, row in result["rows"].items():
        print(f"{subset:<10}" + "".join(f"  {name} {value}" for name, value in row.items()))
    print(
        f"closure on dark images {result['closure']:.2f} ({result['low']:.2f} to "
        f"{result['high']:.2f} by track)"
    )
    assert result["rows"]["dark"]["n"] > 0
