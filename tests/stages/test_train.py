"""The train stage on drawn images: it learns, holds out, notes, resumes, or takes the champion."""

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor

from pipeline.contracts import InputError
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import load_model
from pipeline.learning.training.holdout_split import select_training_images, split_holdout
from pipeline.stages import train
from pipeline.stages.train import Config, fingerprint
from pipeline.storage.artifact_store import RunFolder
from tests.learning.drawn import NAMES, World

SMALL = {
    "backbone": "test_efficientnet",
    "weights": "none",
    "dropout": 0.1,
    "batch": 8,
    "rate": 4e-3,
    "epochs": 12,
}
QUICK = SMALL | {"epochs": 1}


def _bundle(home: Path, model: Path) -> Path:
    """What promote leaves behind: a bundle and the pointer to it."""
    folder = home / "old" / "promote" / "bundle"
    folder.mkdir(parents=True)
    shutil.copy(model / "model.safetensors", folder)
    shutil.copy(model / "model.json", folder / "bundle.json")
    where = {"run_id": "old", "bundle": f"{home.name}/old/promote/bundle", "champion": "candidate"}
    (home / "champions").mkdir()
    (home / "champions" / "run.json").write_text(json.dumps(where))
    return folder


def test_it_learns_and_records(tmp_path: Path) -> None:
    world = World(groups=100)
    made, notes = world.run(train, tmp_path, Config(**SMALL))
    assert notes == []
    model, meta = load_model(made["model"])
    val = (world.splits["split"] == "val").to_numpy()
    said = np.array(world.names)[compute_logits(model, world.pixels[val], meta).argmax(1)]
    assert (said == world.images["label"].to_numpy()[val]).mean() > 0.85
    record = made["training"]
    assert meta["temperature"] == record["temperature"] != 1.0
    assert (meta["classes"], meta["side"], meta["backbone"]) == (
        ["lying", "standing"],
        32,
        "test_efficientnet",
    )
    assert record["best_step"] in set(made["history"]["step"])
    assert record["passes"] == record["steps"] * 8
    assert "gap" in record["judgement"]
    assert "seconds" not in str(record), "wall-clock times differ from run to run"


def test_the_holdout_and_other_splits_are_never_learnt_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.learning.training.training_step import TrainingRun

    world, seen = World(groups=80), set[int]()
    own = TrainingRun.run_step

    def step(self: Any, number: int, batch: Any) -> Tensor:
        seen.update(self.images.rows.tolist())
        return own(self, number, batch)

    monkeypatch.setattr(TrainingRun, "run_step", step)
    world.images.loc[[0, 1], "label"] = None
    made, _ = world.run(train, tmp_path, Config(**QUICK))
    images = select_training_images(world.images, world.splits, world.pixels, world.names)
    known = made["training"]["holdout"]
    rest, held = split_holdout(
        images, world.images["group"].to_numpy()[images.image_rows], known["share"], known["seed"]
    )
    assert seen == set(rest.image_rows.tolist())
    assert not seen & set(held.image_rows.tolist())
    assert len(held) == known["images"] > 0
    assert set(world.splits["split"].to_numpy()[sorted(seen)]) == {"train"}
    assert world.images["label"].notna().to_numpy()[sorted(seen)].all()


def test_killed_and_resumed_it_makes_the_same_bytes(tmp_path: Path) -> None:
    whole, _ = World().run(train, tmp_path / "a", Config(**SMALL))

    def until(items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        for number, item in enumerate(items):
            if unit == "steps" and number == 30:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        World().run(train, tmp_path / "b", Config(**SMALL), track=until)
    resumed, _ = World().run(train, tmp_path / "b", Config(**SMALL))
    for file in ("model.safetensors", "model.json"):
        assert (whole["model"] / file).read_bytes() == (resumed["model"] / file).read_bytes()
    assert whole["training"] == resumed["training"]
    assert whole["history"].equals(resumed["history"])


def test_an_absent_class_is_noted_with_what_it_costs(tmp_path: Path) -> None:
    world = World(groups=90, classes=3, names=NAMES)
    gone = (world.images["label"] == "square") & (world.splits["split"] == "train").to_numpy()
    world.splits.loc[gone, "split"] = "left_out"
    lost = int(
        ((world.images["label"] == "square") & (world.splits["split"] == "val").to_numpy()).sum()
    )
    made, notes = world.run(train, tmp_path, Config(**QUICK))
    assert notes == [
        f"class square is absent from train: its {lost} images of val cannot be recognized"
    ]
    assert lost > 0
    assert load_file(made["model"] / "model.safetensors")["classifier.weight"].shape[0] == 3


@pytest.mark.parametrize("left", [1, 0])
def test_fewer_than_two_classes_are_refused_in_one_line(left: int, tmp_path: Path) -> None:
    world = World()
    keep = world.images["label"].eq("lying") & (left > 0)
    world.splits.loc[(world.splits["split"] == "train") & ~keep, "split"] = "left_out"
    with pytest.raises(InputError, match="two classes are needed") as caught:
        world.run(train, tmp_path, Config(**QUICK))
    assert ("only lying" in str(caught.value)) == bool(left)
    assert "\n" not in str(caught.value)


def test_four_images_survive_and_say_what_was_not_judged(tmp_path: Path) -> None:
    world = World(groups=20)
    train_rows = world.splits.index[world.splits["split"] == "train"]
    two = [world.images.loc[train_rows].query("label == @name").index[:2] for name in world.names]
    world.splits.loc[train_rows.difference(two[0].union(two[1])), "split"] = "left_out"
    made, notes = world.run(train, tmp_path, Config(**QUICK))
    assert len(notes) == 1
    assert "no early stop" in notes[0]
    assert made["training"]["temperature"] == 1.0
    assert made["training"]["overfitting_from"] is None


def test_the_champion_is_taken_as_it_is(tmp_path: Path) -> None:
    made, _ = World().run(train, tmp_path / "first", Config(**QUICK))
    folder = _bundle(tmp_path / "home", made["model"])
    taken, notes = World().run(train, tmp_path / "home", Config(**QUICK, model="champion"))
    assert notes == ["took the champion of run old as it is"]
    assert (taken["model"] / "model.safetensors").read_bytes() == (
        folder / "model.safetensors"
    ).read_bytes()
    assert taken["training"]["steps"] == 0
    assert taken["training"]["temperature"] == made["training"]["temperature"]
    assert len(taken["history"]) == 0


def test_labels_that_changed_since_the_champion_are_noted(tmp_path: Path) -> None:
    world, home = World(), tmp_path / "home"
    made, _ = world.run(train, tmp_path / "first", Config(**QUICK))
    _bundle(home, made["model"])
    old = RunFolder.open_or_create(home / "old")
    (old.path / "ingest").mkdir()
    images = world.images.assign(path=world.images["image_id"])
    images.to_parquet(old.path / "ingest" / "images.parquet")
    was = str(images["label"].iloc[0])
    world.images = images
    world.images.loc[0, "label"] = now = next(name for name in world.names if name != was)
    _, notes = world.run(train, home, Config(**QUICK, model="champion"))
    assert len(notes) == 2
    example = f"{images['path'].iloc[0]}: {was}, now {now}"
    assert f"labels changed since the champion's run: 1, such as {example}" in notes


def test_without_a_champion_one_is_trained_and_it_says_so(tmp_path: Path) -> None:
    made, notes = World().run(train, tmp_path, Config(**QUICK, model="champion"))
    assert notes == ["there is no champion yet: a new model is trained"]
    assert made["training"]["steps"] > 0


@pytest.mark.parametrize("wrong", ["classes", "side", "gone"])
def test_a_champion_that_does_not_fit_is_one_line(wrong: str, tmp_path: Path) -> None:
    made, _ = World().run(train, tmp_path / "first", Config(**QUICK))
    folder = _bundle(tmp_path / "home", made["model"])
    world = World(names=["cat", "dog"]) if wrong == "classes" else World()
    if wrong == "side":
        world.pixels = np.repeat(np.repeat(world.pixels, 2, axis=1), 2, axis=2)
    if wrong == "gone":
        shutil.rmtree(folder)
    classes = "new in the data: cat, dog; without a image now: lying, standing.*set it to new"
    says = {"classes": classes, "side": "ingest.side=32", "gone": "is gone"}[wrong]
    with pytest.raises(InputError, match=says) as caught:
        world.run(train, tmp_path / "home", Config(**QUICK, model="champion"))
    assert "\n" not in str(caught.value)


def test_the_fingerprint_follows_the_champion_and_a_file_of_weights(tmp_path: Path) -> None:
    home, asks = tmp_path / "home", Config(**QUICK, model="champion")
    assert fingerprint(asks, home / "run", None) == fingerprint(Config(), home / "run", None) == ""
    made, _ = World().run(train, tmp_path / "first", Config(**QUICK))
    folder = _bundle(home, made["model"])
    before = fingerprint(asks, home / "run", None)
    assert before
    assert fingerprint(Config(**QUICK), home / "run", None) == "", (
        "who trains anew does not depend on the champion"
    )
    (folder / "bundle.json").write_text("{}")
    assert fingerprint(asks, home / "run", None) not in ("", before)
    weights = tmp_path / "w.safetensors"
    marks = set()
    for content in (b"one", b"two"):
        weights.write_bytes(content)
        marks.add(fingerprint(Config(**QUICK | {"weights": str(weights)}), home, None))
    assert len(marks) == 2


def test_a_model_of_ones_own_is_taken_as_it_is_and_told(tmp_path: Path) -> None:
    world = World()
    made, _ = world.run(train, tmp_path / "first", Config(**SMALL | {"epochs": 4}))
    model, meta = load_model(made["model"])
    file = tmp_path / "mine.pth"
    torch.save({"state_dict": model.state_dict(), "classes": ["standing", "lying"]}, file)
    asks = Config(**QUICK, model=str(file), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    taken, notes = world.run(train, tmp_path / "second", asks)
    again, told = load_model(taken["model"])
    swapped = compute_logits(model, world.pixels, meta)[
        :, ::-1
    ]  # its file says that it answers in the other order
    np.testing.assert_allclose(compute_logits(again, world.pixels, told), swapped, atol=1e-6)
    assert (taken["training"]["steps"], len(taken["history"])) == (0, 0)
    images = select_training_images(world.images, world.splits, world.pixels, world.names)
    right = int((swapped.argmax(1)[images.image_rows] == images.labels).sum())
    assert f"of {len(images)} training images it answers {right} as they are labeled" in notes[0]
    assert len(notes) == 1
    before = fingerprint(asks, tmp_path / "home", None)
    torch.save({"state_dict": model.state_dict()}, file)
    assert fingerprint(asks, tmp_path / "home", None) not in ("", before)
    _, notes = world.run(train, tmp_path / "third", asks)
    assert "sorted order" in notes[1]


@pytest.mark.parametrize(
    "setting", [{"class_order": ["a", "b"]}, {"mean": (0, 0, 0)}, {"std": (1, 1, 1)}]
)
def test_what_is_told_of_ones_own_model_needs_one(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"set train\.model to its file"):
        Config(**setting)
    assert Config(**setting, model="mine.pth").user_model_file == Path("mine.pth")
