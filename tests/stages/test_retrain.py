"""The retrain stage: two arms of one start, one order and one budget, of which one sees the plan's remedies."""

import json
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

from pipeline.contracts import InputError
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.inference.temperature_scaling import fit_temperature
from pipeline.learning.models.backbone import load_model
from pipeline.learning.training.holdout_split import select_training_images, split_holdout
from pipeline.stages import retrain, train
from pipeline.stages.retrain import Config
from tests.learning.drawn import World

BASE: dict[str, Any] = {"batch": 8, "epochs": 2, "seeds": 1, "generic": False}
NONE: dict[str, Any] = {
    "image_id": "str",
    "slice": "str",
    "remedy": "str",
    "strength_low": "float64",
    "strength_high": "float64",
    "probability": "float64",
    "simulator": "str",
}
SIMULATED: dict[str, Any] = {
    "content_hash": "str",
    "slice": "str",
    "label": "str",
    "simulator": "str",
    "condition": "str",
    "strength": "float64",
}


def _plan(ids: Iterable[str], *recipes: tuple[str, float, float, float]) -> pd.DataFrame:
    rows = [(i, f"s{k}", *recipe, None) for i in ids for k, recipe in enumerate(recipes)]
    return pd.DataFrame(rows, columns=list(NONE)).astype(NONE)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A trained small network, and a plan that darkens most images of train."""
    world = World()
    world.run(
        train,
        tmp_path,
        train.Config(
            backbone="test_efficientnet", weights="none", batch_size=8, learning_rate=4e-3, epochs=3
        ),
    )
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


def test_both_arms_have_one_start_one_order_one_budget(
    world: World, tmp_path: Path, monkeypatch: Any
) -> None:
    from pipeline.learning.training import training_loop as module

    starts, rows, own = [], [], module.fit_network

    def noted(model: Any, meta: Any, images: Any, settings: Any, **more: Any) -> Any:
        starts.append({k: v.clone() for k, v in model.state_dict().items()})
        rows.append((images.rows.tolist(), more["seed"], settings, more.get("holdout")))
        return own(model, meta, images, settings, **more)

    monkeypatch.setattr(module, "fit_network", noted)
    made, notes = world.run(retrain, tmp_path, Config(**BASE | {"seeds": 2}))
    entries = _entries(made)
    assert notes == []
    assert [(e["arm"], e["seed"]) for e in entries] == [
        ("control", 1000),
        ("targeted", 1000),
        ("control", 1001),
        ("targeted", 1001),
    ]
    assert len({e["passes"] for e in entries}) == len({e["rows"] for e in entries}) == 1
    assert rows[0] == rows[1]
    assert rows[2] == rows[3]
    assert all(held is None for *_, held in rows), "no early stop"
    trained = load_file(world.made["model"] / "model.safetensors")
    assert all(np.array_equal(s[k], v) for s in starts for k, v in trained.items())
    assert _differs(made["candidates"], "control-1000.safetensors", "targeted-1000.safetensors")
    assert _differs(made["candidates"], "control-1000.safetensors", "control-1001.safetensors")


def test_the_holdout_of_train_stays_unseen_and_sets_each_temperature(
    world: World, tmp_path: Path
) -> None:
    made, _ = world.run(retrain, tmp_path, Config(**BASE))
    entries, known = _entries(made), world.made["training"]["holdout"]
    labeled = int((world.splits["split"] == "train").sum())
    assert known["images"] > 0
    assert all(e["rows"] == labeled - known["images"] for e in entries)
    assert all(0.2 < e["temperature"] < 11 and np.isfinite(e["loss"]) for e in entries)
    images = select_training_images(world.images, world.splits, world.pixels, world.names)
    groups = world.images["group"].to_numpy(dtype=str)[images.image_rows]
    _, held = split_holdout(images, groups, known["share"], known["seed"])
    assert len(held) == known["images"]
    for entry in entries:
        model, meta = load_model(made["candidates"], weights_file=entry["file"])
        assert entry["temperature"] == pytest.approx(
            fit_temperature(compute_logits(model, held.load_pixels(), meta), held.labels)
        )


def test_a_generic_arm_has_the_same_start_order_and_budget_and_needs_no_plan_of_its_own(
    world: World, tmp_path: Path
) -> None:
    made, _ = world.run(retrain, tmp_path, Config(**BASE | {"generic": True}))
    entries = {e["arm"]: e for e in _entries(made)}
    assert list(entries) == ["control", "targeted", "generic"]
    assert len({(e["passes"], e["rows"], e["seed"]) for e in entries.values()}) == 1
    for other in ("control", "targeted"):
        assert _differs(made["candidates"], entries["generic"]["file"], entries[other]["file"])


def test_images_that_are_shown_more_often_cost_the_others_their_passes_and_no_more(
    world: World, tmp_path: Path, monkeypatch: Any
) -> None:
    from pipeline.learning.training import training_loop as module

    seen, own = [], module.fit_network

    def noted(model: Any, meta: Any, images: Any, settings: Any, **more: Any) -> Any:
        seen.append((np.bincount(images.rows, minlength=len(world.images)), more["treatment"]))
        return own(model, meta, images, settings, **more)

    monkeypatch.setattr(module, "fit_network", noted)
    ids = list(world.images["image_id"][(world.splits["split"] == "train").to_numpy()])
    world.made["plan"] = pd.concat(
        [_plan(ids[:4], ("oversampling", 3.0, 3.0, 1.0)), _plan(ids[4:], ("blur", 2, 2, 1))]
    )
    made, _ = world.run(retrain, tmp_path, Config(**BASE))
    entries = _entries(made)
    assert entries[0]["passes"] == entries[1]["passes"]
    control, targeted = (times for times, _ in seen)
    again = world.images["image_id"].isin(ids[:4]).to_numpy()
    assert (targeted[again] == 3 * control[again]).all()
    assert (targeted[~again] == control[~again]).all()
    pixels = world.pixels[:2]
    rows = np.array(
        [world.images.index[world.images["image_id"] == i][0] for i in (ids[0], ids[4])]
    )
    treated = seen[1][1](rows, pixels, 5)
    assert (treated[0] == pixels[0]).all(), "shown more often, and as it is"
    assert (treated[1] != pixels[1]).any()


def test_where_images_are_weighed_anew_the_last_layer_alone_learns(
    world: World, tmp_path: Path
) -> None:
    ids = list(world.images["image_id"][(world.splits["split"] == "train").to_numpy()])
    world.made["plan"] = _plan(ids[:4], ("reweighting", 5.0, 5.0, 1.0))
    made, _ = world.run(retrain, tmp_path, Config(**BASE))
    entries, start = _entries(made), load_file(Path(world.made["model"]) / "model.safetensors")
    assert entries[0]["passes"] == entries[1]["passes"]
    head = {name for name in start if name.startswith("classifier")}
    learnt = {e["arm"]: load_file(made["candidates"] / e["file"]) for e in entries}
    changed = {
        arm: {k for k in w if not np.array_equal(w[k], start[k])} for arm, w in learnt.items()
    }
    assert changed["targeted"] == head
    assert changed["control"] > head


def test_candidates_load_as_models(world: World, tmp_path: Path) -> None:
    made, _ = world.run(retrain, tmp_path, Config(**BASE))
    for entry in _entries(made):
        _, meta = load_model(made["candidates"], weights_file=entry["file"])
        assert meta["classes"] == world.names


def test_an_empty_plan_makes_no_candidate_and_says_so(world: World, tmp_path: Path) -> None:
    world.made["plan"] = _plan([])
    made, notes = world.run(retrain, tmp_path, Config(**BASE))
    assert _entries(made) == []
    assert notes == ["no remedy was prescribed for training images: nothing is retrained"]


def test_killed_in_the_second_arm_it_resumes_to_the_same_bytes(
    world: World, tmp_path: Path
) -> None:
    whole, _ = world.run(retrain, tmp_path / "a", Config(**BASE))
    arms: list[str] = []

    def until(items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        arms.append(unit)
        for number, item in enumerate(items):
            if arms.count("steps") == 2 and number == 9:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        world.run(retrain, tmp_path / "b", Config(**BASE), track=until)
    resumed, _ = world.run(retrain, tmp_path / "b", Config(**BASE))
    for file in (entry["file"] for entry in _entries(whole)):
        assert (whole["candidates"] / file).read_bytes() == (
            resumed["candidates"] / file
        ).read_bytes()
    assert _entries(whole) == _entries(resumed)


def test_the_targeted_arm_learns_from_simulated_images(world: World, tmp_path: Path) -> None:
    treated, _ = world.run(retrain, tmp_path / "a", Config(**BASE))
    world.made["plan"] = world.made["plan"].assign(
        simulator=pd.array(["gate"] * len(world.made["plan"]), dtype="str")
    )
    world.made["simulated"] = pd.DataFrame(
        [(f"h{k}", "s0", name, "gate", "exposure", 0.3) for k, name in enumerate(world.names)],
        columns=list(SIMULATED),
    ).astype(SIMULATED)
    world.made["simulated_pixels"] = np.random.default_rng(0).integers(
        0, 90, (2, 32, 32, 3), dtype=np.uint8
    )
    shown, _ = world.run(retrain, tmp_path / "b", Config(**BASE))
    one, other = treated["candidates"], shown["candidates"]
    control, targeted = "control-1000.safetensors", "targeted-1000.safetensors"
    assert (one / control).read_bytes() == (other / control).read_bytes(), "the control is the same"
    assert (one / targeted).read_bytes() != (other / targeted).read_bytes()
    assert [e["rows"] for e in _entries(treated)] == [e["rows"] for e in _entries(shown)], (
        "and so is the budget"
    )


class _Tiny(nn.Module):
    """A user's own network; without `learns` its weights are constants."""

    def __init__(self, learns: bool) -> None:
        super().__init__()
        self.head = nn.Linear(8, 2).requires_grad_(learns)
        self.maps = nn.Conv2d(3, 8, 3).requires_grad_(learns)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.head(self.maps(images).relu().mean((2, 3)))
        return out


@pytest.mark.parametrize("learns", [True, False])
def test_a_program_of_ones_own_is_trained_further_or_it_says_why_not(
    learns: bool, world: World, tmp_path: Path
) -> None:
    program = torch.export.export(
        _Tiny(learns).eval(),
        (torch.rand(2, 3, 32, 32),),
        dynamic_shapes=({0: torch.export.Dim("n")},),
    )
    torch.export.save(program, tmp_path / "mine.pt2")
    asks = train.Config(model=str(tmp_path / "mine.pt2"), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    taken, notes = world.run(train, tmp_path, asks)
    assert ("norms and dropout as exported" in notes[-1], "not at all" in notes[-1]) == (
        learns,
        not learns,
    )
    before, meta = load_model(taken["model"])
    made, notes = world.run(retrain, tmp_path, Config(**BASE))
    entries = _entries(made)
    if not learns:
        assert (entries, len(notes)) == ([], 1)
        assert "no weights that learn" in notes[0]
        return
    assert [e["arm"] for e in entries] == ["control", "targeted"]
    files = [str((made["candidates"] / e["file"]).resolve()) for e in entries]
    models = [before, *(load_model(taken["model"], file)[0] for file in files)]
    said = [compute_logits(model, world.pixels[:4], meta) for model in models]
    assert all(np.abs(a - b).max() > 1e-4 for a, b in combinations(said, 2))
    world.made["plan"] = _plan(
        list(world.made["plan"]["image_id"][:4]), ("reweighting", 5.0, 5.0, 1.0)
    )
    weighed = _entries(world.run(retrain, tmp_path / "weighed", Config(**BASE))[0])
    assert [e["passes"] for e in weighed] == [e["passes"] for e in entries], (
        "the whole program learns: it has no head"
    )
    with pytest.raises(InputError, match="head_only"):
        world.run(retrain, tmp_path / "head", Config(**BASE, head_only=True))
