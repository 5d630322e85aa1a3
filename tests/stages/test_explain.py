from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.contracts import Context
from pipeline.graph import ARTIFACTS, stage
from pipeline.learning.backbone import build, save_model
from pipeline.stages import cluster, explain
from tests.stages.found import NAMES, artifacts


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network, meta = build("test_efficientnet", "none", NAMES, 16, 0.0)
    return save_model(tmp_path_factory.mktemp("model"), network, meta)


def _run(given: dict[str, Any], model: Path, folder: Path) -> tuple[dict[str, Any], Context]:
    context = Context("r", 0, folder, folder)
    given = given | {"model": model}
    given |= cluster.run(cluster.Config(), context, **{n: given[n] for n in stage("cluster").needs})
    made = explain.run(explain.Config(photos=30), context, **{n: given[n] for n in stage("explain").needs})
    for name, value in made.items():
        ARTIFACTS[name].check(name, value, {})
    return made, context


def test_the_planted_slice_is_confirmed_with_its_numbers(model: Path, tmp_path: Path) -> None:
    given = artifacts()
    made, _ = _run(given, model, tmp_path)
    first = made["explanations"].iloc[0]
    assert first["status"] == "confirmed"
    assert first["q_value"] < 0.05
    assert first["low"] > 0
    assert first["error"] - first["expected"] == pytest.approx(first["excess"])
    assert first["remedy"] == "exposure"
    assert first["n"] >= 30
    assert first["groups"] >= 10
    assert set(made["causes"]["slice"]) == set(made["explanations"].query("status == 'confirmed'")["slice"])


def test_a_model_that_no_treatment_confuses_has_no_named_cause(model: Path, tmp_path: Path) -> None:
    """The photos here are noise: whatever darkens them reproduces nothing in particular."""
    made, _ = _run(artifacts(), model, tmp_path)
    named = made["causes"][made["causes"]["named"]]
    unnamed = made["explanations"][made["explanations"]["cause"].isna()]
    assert set(named["slice"]) == set(made["explanations"]["slice"]) - set(unnamed["slice"])
    assert unnamed["words"].str.contains("cause unnamed").all()
    assert (unnamed["confidence"] == "unnamed").all()


def test_with_nothing_planted_hardly_anything_is_confirmed(model: Path, tmp_path: Path) -> None:
    confirmed = []
    for seed in range(8):
        made, _ = _run(artifacts(seed, planted=False), model, tmp_path)
        confirmed.append((made["explanations"]["status"] == "confirmed").any())
    assert np.sum(confirmed) <= 2


def test_few_groups_are_not_testable_and_told_how_many_would_do(model: Path, tmp_path: Path) -> None:
    made, _ = _run(artifacts(groups=24, frames=20), model, tmp_path)
    untestable = made["explanations"].query("status == 'not testable'")
    assert (untestable["groups_needed"] >= 10).all()
    assert (made["explanations"]["status"] != "confirmed").all() or made["explanations"]["groups"].max() >= 10
