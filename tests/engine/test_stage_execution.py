from pathlib import Path

import pandas as pd
import pytest

from pipeline.contracts import ContractError, InputError, StageContext
from pipeline.engine import runner
from pipeline.engine.stage_execution import (
    check_class_settings,
    load_settings_classes,
    load_stage_module,
    produce_outputs,
    share_stage,
)
from pipeline.graph import STAGES, get_stage
from pipeline.learning.distributed import get_fabric


def test_an_input_that_breaks_its_contract_is_named_before_the_stage_runs(tmp_path: Path) -> None:
    context = StageContext("r", 0, tmp_path, tmp_path)
    settings = load_stage_module("measure").Config()
    images = pd.DataFrame({"image_id": ["a"]})
    with pytest.raises(ContractError, match="images: missing columns"):
        produce_outputs(get_stage("measure"), settings, context, {"images": images})


def test_a_process_by_itself_shares_no_stage() -> None:
    for name in ("train", "cluster"):
        with share_stage(get_stage(name)):
            assert get_fabric().world_size == 1


def test_training_and_prediction_are_distributed_and_stages_with_side_effects_are_not() -> None:
    distributed = [stage for stage in STAGES if stage.is_distributed]
    assert [stage.name for stage in distributed] == ["train", "evaluate", "probe", "retrain"]
    for stage in distributed:
        assert not stage.has_side_effects
        assert not stage.is_run_specific
        assert not stage.can_reuse_rows


def test_every_stage_has_settings() -> None:
    assert list(load_settings_classes()) == [stage.name for stage in STAGES]


def test_settings_that_name_classes_are_checked_against_the_data() -> None:
    config = runner.load_config(None, ["evaluate.costs={badge: {no_badge: 0.1}}"])
    check_class_settings(config, ["badge", "no_badge"])
    with pytest.raises(InputError, match=r"evaluate\.costs: .*'badge'.*bagde, no_badge"):
        check_class_settings(config, ["bagde", "no_badge"])
