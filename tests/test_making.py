from pathlib import Path

import pandas as pd
import pytest

from pipeline import runner
from pipeline.contracts import Context, ContractError, InputError
from pipeline.graph import STAGES, stage
from pipeline.making import followed, foresee, make, module, ranks_here
from pipeline.store import Run


def test_a_need_that_breaks_its_contract_is_named_before_anything_runs(tmp_path: Path) -> None:
    context = Context("r", 0, tmp_path, tmp_path)
    with pytest.raises(ContractError, match="images: missing columns"):
        make(stage("measure"), module("measure").Config(), context, {"images": pd.DataFrame({"image_id": ["a"]})})


def test_a_process_by_itself_leads_and_has_no_other_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert ranks_here() is None
    assert not followed(Run.begin(tmp_path / "r"), runner.configure(None))


def test_what_asks_or_trains_a_model_at_length_is_shared_and_nothing_with_an_effect_is() -> None:
    shared = [s.name for s in STAGES if s.shared]
    assert shared == ["train", "evaluate", "probe", "retrain"]
    assert not any(s.effects or s.identity or s.reuses for s in STAGES if s.shared)


def test_settings_that_name_a_class_are_held_against_the_classes_as_soon_as_these_are_known() -> None:
    config = runner.configure(None, ["evaluate.costs={badge: {no_badge: 0.1}}"])
    foresee(config, ["badge", "no_badge"])
    with pytest.raises(InputError, match=r"evaluate\.costs: there is no class 'badge'; there are: bagde, no_badge"):
        foresee(config, ["bagde", "no_badge"])
