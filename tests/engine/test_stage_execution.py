from pathlib import Path

import pandas as pd
import pytest

from pipeline.contracts import ContractError, InputError, StageContext
from pipeline.engine import runner
from pipeline.engine.stage_execution import (
    check_class_settings,
    follow_first_rank,
    join_ranks,
    load_stage_module,
    produce_outputs,
)
from pipeline.graph import STAGES, get_stage
from pipeline.storage.artifact_store import RunFolder


def test_a_need_that_breaks_its_contract_is_named_before_anything_runs(tmp_path: Path) -> None:
    context = StageContext("r", 0, tmp_path, tmp_path)
    with pytest.raises(ContractError, match="images: missing columns"):
        produce_outputs(
            get_stage("measure"),
            load_stage_module("measure").Config(),
            context,
            {"images": pd.DataFrame({"image_id": ["a"]})},
        )


def test_a_process_by_itself_leads_and_has_no_other_ranks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join_ranks() is None
    assert not follow_first_rank(RunFolder.open_or_create(tmp_path / "r"), runner.load_config(None))


def test_what_asks_or_trains_a_model_at_length_is_shared_and_nothing_with_an_effect_is() -> None:
    shared = [s.name for s in STAGES if s.is_distributed]
    assert shared == ["train", "evaluate", "probe", "retrain"]
    assert not any(
        s.has_side_effects or s.is_run_specific or s.can_reuse_rows
        for s in STAGES
        if s.is_distributed
    )


def test_settings_that_name_a_class_are_held_against_the_classes_as_soon_as_these_are_known() -> (
    None
):
    config = runner.load_config(None, ["evaluate.costs={badge: {no_badge: 0.1}}"])
    check_class_settings(config, ["badge", "no_badge"])
    with pytest.raises(
        InputError, match=r"evaluate\.costs: there is no class 'badge'; there are: bagde, no_badge"
    ):
        check_class_settings(config, ["bagde", "no_badge"])
