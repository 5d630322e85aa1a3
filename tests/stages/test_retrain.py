"""The retrain stage: two arms of one start, one order and one budget, of which one sees the plan's remedies."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from pipeline.learning.backbone import load_model
from pipeline.learning.calibration import fit_temperature
from pipeline.learning.holdout import hold_out, training_photos
from pipeline.learning.predict import logits
from pipeline.stages import retrain, train
from pipeline.stages.retrain import Config, Pool, treatment_of
from tests.learning.drawn import World

BASE = {"batch": 8, "epochs": 2}
NONE: dict[str, Any] = {"image_id": "str", "slice": "str", "remedy": "str", "dose_low": "float64",
                        "dose_high": "float64", "probability": "float64", "simulator": "str"}
SIMULATED: dict[str, Any] = {"content_hash": "str", "slice": "str", "label": "str", "simulator": "str",
                             "condition": "str", "dose": "float64"}


def _plan(ids: Iterable[str], *recipes: tuple[str, float, float, float]) -> pd.DataFrame:
    rows = [(i, f"s{k}", *recipe, None) for i in ids for k, recipe in enumerate(recipes)]
    return pd.DataFrame(rows, columns=list(NONE)).astype(NONE)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A trained small network, and a plan that darkens most photos of train."""
    world = World()
    world.run(train, tmp_path, train.Config(backbone="test_efficientnet", weights="none", batch=8, rate=4e-3, epochs=3))
    ids = world.images["image_id"][(world.splits["split"] == "train").to_numpy()]
    world.made["plan"] = _plan(ids, ("exposure", 0.2, 0.4, 0.7))
    world.made["simulated"] = pd.DataFrame(columns=list(SIMULATED)).astype(SIMULATED)
    world.made["simulated_pixels"] = np.zeros((0, 32, 32, 3), np.uint8)
    return world


def _entries(made: dict[str, Any]) -> list[dict[str, Any]]:
    return list(json.loads((made["candidates"] / "candidates.json").read_text()))


def _differs(folder: Path, one: str, other: str) -> bool:
    a, b = load_file(folder / one), load_file(folder / other)
    return any(not np.array_equal(a[k], b[k]) for k in a)


def test_both_arms_have_one_start_one_order_one_budget(world: World, tmp_path: Path, monkeypatch: Any) -> None:
    from pipeline.learning import fit as module

    starts, rows, own = [], [], module.fit

    def noted(model: Any, meta: Any, photos: Any, settings: Any, **more: Any) -> Any:
        starts.append({k: v.clone() for k, v in model.state_dict().items()})
        rows.append((photos.rows.tolist(), more["seed"], settings, more.get("holdout")))
        return own(model, meta, photos, settings, **more)

    monkeypatch.setattr(module, "fit", noted)
    made, notes = world.run(retrain, tmp_path, Config(**BASE, seeds=2))
    entries = _entries(made)
    assert notes == []
    assert [(e["arm"], e["seed"]) for e in entries] == [
        ("control", 1000), ("targeted", 1000), ("control", 1001), ("targeted", 1001)
    ]
    assert len({e["passes"] for e in entries}) == len({e["rows"] for e in entries}) == 1
    assert rows[0] == rows[1]
    assert rows[2] == rows[3]
    assert all(held is None for *_, held in rows), "no early stop"
    trained = load_file(world.made["model"] / "model.safetensors")
    assert all(np.array_equal(s[k], v) for s in starts for k, v in trained.items())
    assert _differs(made["candidates"], "control-1000.safetensors", "targeted-1000.safetensors")
    assert _differs(made["candidates"], "control-1000.safetensors", "control-1001.safetensors")


def test_the_holdout_of_train_stays_unseen_and_sets_each_temperature(world: World, tmp_path: Path) -> None:
    made, _ = world.run(retrain, tmp_path, Config(**BASE))
    entries, known = _entries(made), world.made["training"]["holdout"]
    labelled = int((world.splits["split"] == "train").sum())
    assert known["photos"] > 0
    assert all(e["rows"] == labelled - known["photos"] for e in entries)
    assert all(0.2 < e["temperature"] < 11 and np.isfinite(e["loss"]) for e in entries)
    photos = training_photos(world.images, world.splits, world.pixels, world.names)
    groups = world.images["group"].to_numpy(dtype=str)[photos.rows]
    _, held = hold_out(photos, groups, known["share"], known["seed"])
    assert len(held) == known["photos"]
    for entry in entries:
        model, meta = load_model(made["candidates"], file=entry["file"])
        assert entry["temperature"] == pytest.approx(fit_temperature(logits(model, held.load(), meta), held.labels))


def test_candidates_load_as_models(world: World, tmp_path: Path) -> None:
    made, _ = world.run(retrain, tmp_path, Config(**BASE))
    for entry in _entries(made):
        _, meta = load_model(made["candidates"], file=entry["file"])
        assert meta["classes"] == world.names


def test_an_empty_plan_makes_no_candidate_and_says_so(world: World, tmp_path: Path) -> None:
    world.made["plan"] = _plan([])
    made, notes = world.run(retrain, tmp_path, Config(**BASE))
    assert _entries(made) == []
    assert notes == ["no remedy was prescribed for training photos: nothing is retrained"]


def test_killed_in_the_second_arm_it_resumes_to_the_same_bytes(world: World, tmp_path: Path) -> None:
    whole, _ = world.run(retrain, tmp_path / "a", Config(**BASE))
    arms: list[str] = []

    def until(items: Iterable[Any], *, total: int, what: str) -> Iterator[Any]:
        arms.append(what)
        for number, item in enumerate(items):
            if arms.count("steps") == 2 and number == 9:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        world.run(retrain, tmp_path / "b", Config(**BASE), track=until)
    resumed, _ = world.run(retrain, tmp_path / "b", Config(**BASE))
    for file in (entry["file"] for entry in _entries(whole)):
        assert (whole["candidates"] / file).read_bytes() == (resumed["candidates"] / file).read_bytes()
    assert _entries(whole) == _entries(resumed)


def _images(count: int) -> pd.DataFrame:
    return pd.DataFrame({"image_id": [f"i{k}" for k in range(count)], "label": ["a", "b"] * (count // 2)})


def test_the_treatment_draws_by_the_plans_probabilities() -> None:
    plan = _plan(["i0", "i1"], ("exposure", 0.25, 0.25, 0.3), ("exposure", 0.5, 0.5, 0.5))
    treatment, rows = treatment_of(plan, _images(4)), np.repeat([0, 3], 500)
    out = treatment(rows, np.full((1000, 8, 8, 3), 200, np.uint8), 7)
    level = out.mean((1, 2, 3)).round(-1)
    assert (level[500:] == 200).all(), "a photo without a plan is left alone"
    share = {v: float((level[:500] == v).mean()) for v in (50, 100, 200)}
    assert share == pytest.approx({50: 0.3, 100: 0.5, 200: 0.2}, abs=0.07)


def test_the_treatment_follows_its_seed_and_leaves_its_input() -> None:
    plan = _plan([f"i{k}" for k in range(60)], ("exposure", 0.1, 0.9, 0.6))
    treatment, pixels = treatment_of(plan, _images(60)), np.full((60, 8, 8, 3), 200, np.uint8)
    one = treatment(np.arange(60), pixels, 7)
    assert np.array_equal(one, treatment(np.arange(60), pixels, 7))
    assert not np.array_equal(one, treatment(np.arange(60), pixels, 8))
    assert (pixels == 200).all()
    assert len(np.unique(one.mean((1, 2, 3)))) > 20, "each photo has its own dose"


def test_a_plan_for_an_unknown_image_is_an_error() -> None:
    with pytest.raises(KeyError):
        treatment_of(_plan(["nowhere"], ("exposure", 0.5, 0.5, 0.5)), _images(2))


def test_a_simulated_photo_takes_the_place_of_one_of_its_class() -> None:
    plan = _plan(["i0", "i1"], ("exposure", 0.5, 0.5, 0.5), ("exposure", 0.2, 0.4, 0.3))
    plan.loc[plan["slice"] == "s1", "simulator"] = "gate"
    simulated = pd.DataFrame({"slice": "s1", "label": ["a", "a", "b", "b"]})
    pool = Pool.of(simulated, np.repeat(np.array([10, 11, 20, 21], np.uint8), 8 * 8 * 3).reshape(4, 8, 8, 3))
    treatment, rows = treatment_of(plan, _images(4), pool), np.repeat([0, 1, 3], 500)
    pixels = np.full((1500, 8, 8, 3), 200, np.uint8)
    level = treatment(rows, pixels, 7).mean((1, 2, 3))
    assert set(level[:500]) == {10, 11, 100, 200}
    assert set(level[500:1000]) == {20, 21, 100, 200}
    assert set(level[1000:]) == {200}, "a photo without a plan is left alone"
    assert float((level[:1000] < 50).mean()) == pytest.approx(0.3, abs=0.05)
    assert np.array_equal(level, treatment(rows, pixels, 7).mean((1, 2, 3)))


def test_the_targeted_arm_learns_from_simulated_photos(world: World, tmp_path: Path) -> None:
    treated, _ = world.run(retrain, tmp_path / "a", Config(**BASE))
    world.made["plan"] = world.made["plan"].assign(simulator=pd.array(["gate"] * len(world.made["plan"]), dtype="str"))
    world.made["simulated"] = pd.DataFrame(
        [(f"h{k}", "s0", name, "gate", "exposure", 0.3) for k, name in enumerate(world.names)], columns=list(SIMULATED)
    ).astype(SIMULATED)
    world.made["simulated_pixels"] = np.random.default_rng(0).integers(0, 90, (2, 32, 32, 3), dtype=np.uint8)
    shown, _ = world.run(retrain, tmp_path / "b", Config(**BASE))
    one, other = treated["candidates"], shown["candidates"]
    control, targeted = "control-1000.safetensors", "targeted-1000.safetensors"
    assert (one / control).read_bytes() == (other / control).read_bytes(), "the control is the same"
    assert (one / targeted).read_bytes() != (other / targeted).read_bytes()
    assert [e["rows"] for e in _entries(treated)] == [e["rows"] for e in _entries(shown)], "and so is the budget"
