"""Night on real traffic signs: the results that configs/gtsrb_night.yaml must reach."""

from pathlib import Path

import pytest

from pipeline.engine import runner
from pipeline.report.sentences.slice_sentences import add_sentences
from pipeline.stages import retrain
from tests.bench.gtsrb import measure_closure

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.data
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_dark_is_found_named_and_repaired_on_real_images(gtsrb: Path, tmp_path: Path) -> None:
    settings = runner.load_config(
        ROOT / "configs" / "gtsrb_night.yaml",
        [f"ingest.data={gtsrb}", f"runs={tmp_path / 'runs'}", f"reports={tmp_path / 'reports'}"],
    )
    run = runner.execute_run(runner.create_run_folder(settings), settings).run
    rejected = run.load_artifact("rejected")
    assert sorted(rejected["path"]) == ["07/00026_00023.jpg", "33/00015_00004.jpg"]
    confirmed = add_sentences(
        run.load_artifact("explanations").query("status == 'confirmed'").sort_values("rank")
    )
    assert confirmed["words"].str.startswith("Too dark").any(), confirmed["words"].to_list()
    refused = run.load_artifact("policy")["refused"]
    assert any(r["remedy"] == "horizontal_flip" for r in refused)
    assert "horizontal_flip" not in set(run.load_artifact("plan")["remedy"])
    assert run.load_artifact("comparison")["test"] is not None
    budget = settings.stages["retrain"]
    assert isinstance(budget, retrain.Config)
    figures = measure_closure(run, budget, tmp_path / "oracle")
    assert figures["closure"] >= 0.4, figures
    assert figures["rows"]["lit"]["targeted"] >= figures["rows"]["lit"]["control"] - 0.01, figures
