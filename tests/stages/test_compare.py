"""A world in which the truth, and what each model would say, is written into the images."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import DimensionSizes, InputError, StageContext, TableContract
from pipeline.domain.rules import Condition, Rule
from pipeline.graph import ARTIFACT_CONTRACTS, get_stage
from pipeline.stages import compare
from tests.helpers.validation_sets import collect_needs

NAMES = ["badge", "none"]
SIDE = 8
GOOD = {"dark": 0.1, "lit": 0.05}
METRICS = ("accuracy", "macro_f1", "classes", "confusion", "calibration", "costs")
BAD = {"dark": 0.6, "lit": 0.05}


def _said(weights: Path, pixels: np.ndarray) -> np.ndarray:
    """Logits of a pretended model: wrong where a image's hidden number lies below its error on such images."""
    errors = json.loads(weights.read_text())
    truth, luck, dark = pixels[:, 0, 0, 0], pixels[:, 0, 0, 1] / 255, pixels[:, 1, 1, 0] < 40
    wrong = luck < np.where(dark, errors["dark"], errors["lit"])
    return (np.eye(2)[np.where(wrong, 1 - truth, truth)] * 3).astype(np.float32)


@dataclass
class World:
    """Artifacts of a run up to retrain, and what was looked at."""

    folder: Path
    made: dict[str, Any]
    test_was_read: bool = False
    ledger_stood: list[bool] = field(default_factory=list)

    def run(self, run_id: str = "run1", **settings: Any) -> dict[str, Any]:
        scratch = self.folder / "scratch" / run_id
        scratch.mkdir(parents=True, exist_ok=True)
        context = StageContext(
            run_id=run_id, seed=0, scratch_folder=scratch, runs_folder=self.folder
        )
        needs = collect_needs("compare", self.made)
        made = compare.run(compare.Config(**settings), context, **needs)
        dims: DimensionSizes = {}
        for name, value in needs.items():
            ARTIFACT_CONTRACTS[name].check_value(name, value, dims)
        for name in get_stage("compare").makes:
            ARTIFACT_CONTRACTS[name].check_value(name, made[name], dims)
        return made

    def candidates(self, **arms: list[dict[str, float]]) -> None:
        folder, rows = self.made["candidates"], []
        for arm, seeds in arms.items():
            for seed, errors in enumerate(seeds):
                (folder / f"{arm}-{seed}.safetensors").write_text(json.dumps(errors))
                file = f"{arm}-{seed}.safetensors"
                rows.append(
                    {"arm": arm, "seed": seed, "file": file, "loss": 0.1, "temperature": 2.0}
                )
        (folder / "candidates.json").write_text(json.dumps(rows))

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.jsonl"


def _images(
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, np.ndarray]:
    n = 900
    group = np.repeat(np.arange(n // 3), 3)
    split = np.array(["train", "val", "test"])[group % 3]
    dark = rng.random(n // 3)[group] < 0.4
    label = rng.integers(0, 2, n // 3)[group]
    pixels = np.full((n, SIDE, SIDE, 3), 200, np.uint8)
    pixels[dark] = 15
    luck = 0.5 * rng.random(n // 3)[group] + 0.5 * rng.random(n)
    pixels[:, 0, 0] = np.stack([label, luck * 255, split == "test"], 1)
    ids = [f"image{i:04d}" for i in range(n)]
    images = pd.DataFrame(
        {
            "image_id": ids,
            "content_hash": ids,
            "path": ids,
            "source": ids,
            "label": np.array(NAMES)[label],
            "group": [f"g{g}" for g in group],
            "captured_at": pd.NaT,
            "width": SIDE,
            "height": SIDE,
            "given_split": None,
        }
    )
    attributes = pd.DataFrame(
        {"image_id": ids, "luminance": np.where(dark, 15.0, 200.0) + rng.random(n)}
    )
    fold = np.where(split == "val", group % 5, -1)
    splits = pd.DataFrame({"image_id": ids, "split": split, "fold": fold, "reason": None})
    return images, attributes, splits, pixels


def _explanation(name: str, status: str) -> dict[str, Any]:
    row: dict[str, Any] = {}
    table = ARTIFACT_CONTRACTS["explanations"]
    assert isinstance(table, TableContract)
    for column, dtype in table.columns.items():
        row[column] = {"str": "dark", "float": 0.1, "int": 1}.get(dtype)
    rule = Rule((Condition("luminance", "<=", 40.0),)).dump_json()
    return {**row, "slice": name, "status": status, "frozen": rule}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    images, attributes, splits, pixels = _images(np.random.default_rng(0))
    model, candidates = tmp_path / "model", tmp_path / "candidates"
    for folder in (model, candidates):
        folder.mkdir()
    (model / "model.safetensors").write_text(json.dumps(BAD))
    (model / "model.json").write_text(json.dumps({"classes": NAMES, "temperature": 1.5}))
    val = np.flatnonzero(splits["split"] == "val")[::-1]  # in another order than images
    said = _said(model / "model.safetensors", pixels[val])
    predicted = np.array(NAMES)[said.argmax(1)]
    predictions = pd.DataFrame(
        {
            "image_id": images["image_id"].to_numpy()[val],
            "label": images["label"].to_numpy()[val],
            "predicted": predicted,
            "correct": predicted == images["label"].to_numpy()[val],
            "confidence": 0.9,
            "margin": 1.0,
            "logit_0": said[:, 0],
            "logit_1": said[:, 1],
        }
    )
    inside = images["image_id"][(splits["split"] == "val") & (attributes["luminance"] <= 40)]
    membership = pd.DataFrame(
        {"image_id": inside.to_numpy(), "slice": "s1", "fold": 0, "score": 1.0}
    )
    plan = pd.DataFrame(
        {
            "image_id": images["image_id"][:9],
            "slice": "s1",
            "remedy": "exposure",
            "strength_low": 0.2,
            "strength_high": 0.5,
            "probability": 0.5,
            "simulator": pd.array([None] * 9, dtype="str"),
        }
    )
    made = {
        "images": images,
        "pixels": pixels,
        "classes": {"names": NAMES},
        "splits": splits,
        "attributes": attributes,
        "model": model,
        "predictions": predictions,
        "metrics": dict.fromkeys(METRICS),
        "membership": membership,
        "marks": images[["image_id"]],
        "explanations": pd.DataFrame([_explanation("s1", "confirmed")]),
        "plan": plan,
        "candidates": candidates,
        "policy": {
            "corrections": [],
            "decline": {"target_error": 0.2},
            "refused": [],
            "prescriptions": [],
        },
    }
    world = World(tmp_path, made)
    world.candidates(control=[BAD], targeted=[GOOD])
    _pretend(world, monkeypatch)
    return world


def _pretend(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.learning.inference import model_outputs, saliency_maps
    from pipeline.learning.models import backbone

    def load(folder: Path, file: str) -> tuple[Any, dict[str, Any]]:
        return folder / file, json.loads((folder / "model.json").read_text())

    def logits(model: Any, pixels: np.ndarray, meta: Any) -> np.ndarray:
        if pixels[:, 0, 0, 2].any():
            world.test_was_read = True
            world.ledger_stood.append(world.ledger.exists())
        return _said(model, pixels)

    def heat(sources: Any, pixels: np.ndarray, targets: np.ndarray, track: Any) -> np.ndarray:
        assert targets.shape == (len(pixels), 2)
        return np.broadcast_to(pixels[:, None, :, :, 0], (len(pixels), 2, SIDE, SIDE)).copy()

    monkeypatch.setattr(backbone, "load_model", load)
    monkeypatch.setattr(model_outputs, "compute_logits", logits)
    monkeypatch.setattr(
        model_outputs,
        "extract_features",
        lambda pixels: pixels.reshape(len(pixels), -1).astype(np.float32),
    )
    monkeypatch.setattr(saliency_maps, "compute_heat_maps", heat)


def test_a_repair_passes_val_and_opens_the_test_once(world: World) -> None:
    comparison = world.run()["comparison"]
    val, test, opening = comparison["val"], comparison["test"], comparison["opening"]
    assert comparison["outcome"] == "tested"
    assert (opening["number"], opening["alpha"], opening["opened"]) == (1, 0.025, True)
    assert val["passed"]
    assert val["gained"] == ["s1"]
    assert val["slices"][0]["gain"]["mean"] > 0.3
    assert test["alpha"] == 0.025
    assert test["primary"]["passed"]
    assert test["primary"]["gain"]["mean"] > 0.3
    assert test["non_inferiority"]["passed"]
    assert world.ledger_stood
    assert all(world.ledger_stood)  # logged before the first look
    assert {row["split"] for row in comparison["power"]} == {"val", "test"}


def test_whom_to_answer_and_what_to_correct_is_judged_for_each_model_on_val_and_shown_on_test(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lit(remedy: str, pixels: np.ndarray, low: float, high: float, seed: int) -> np.ndarray:
        assert (remedy, low, high) == ("exposure", 3.0, 3.0)
        bright = pixels.copy()
        bright[:, 1, 1] = 200
        return bright

    monkeypatch.setattr(compare, "apply_remedy", lit)
    item = {"slice": "s1", "remedy": "exposure", "strength": 3.0, "helps": True}
    world.made["policy"]["corrections"] = [item, {**item, "helps": False}]
    made = world.run()
    comparison = made["comparison"]
    before, targeted = comparison["corrections"]["val"]
    assert (before["arm"], before["helps"]) == ("before", True)
    assert before["gain"]["value"] > 0.4
    assert targeted["arm"] == "targeted"
    assert targeted["gain"]["value"] < 0.2, "what is repaired already gains little"
    assert [row["n"] for row in comparison["corrections"]["test"]] != [before["n"]] * 2
    rules = comparison["decline"]
    assert rules["before"]["target_error"] == 0.2
    assert rules["before"]["coverage"] == 1, "what the correction repairs is answered"
    assert not made["flips"]["declined_before"].any()
    world.made["policy"]["corrections"] = []
    without = world.run()
    left = without["comparison"]["decline"]["before"]
    assert left["coverage"] < 1
    assert without["flips"]["declined_before"].mean() == pytest.approx(1 - left["coverage"])
    assert rules["targeted"]["test"]["error"]["value"] < 0.3


def test_the_test_gives_aggregates_only(world: World) -> None:
    made = world.run()
    assert "photo0" not in json.dumps(made["comparison"])
    of_test = world.made["splits"].set_index("image_id")["split"][made["flips"]["image_id"]]
    assert (of_test == "val").all()


def test_before_is_what_evaluate_said_and_flips_follow_it(world: World) -> None:
    made = world.run()
    predictions, flips = world.made["predictions"], made["flips"]
    before = made["comparison"]["val"]["arms"]["before"][0]
    assert before["accuracy"]["value"] == pytest.approx(predictions["correct"].mean())
    assert before["calibration"]["temperature"] == 1.5
    assert made["comparison"]["val"]["arms"]["targeted"][0]["calibration"]["temperature"] == 2.0
    assert (flips["before"].to_numpy() == predictions["predicted"].to_numpy()).all()
    counts = flips["change"].value_counts()
    assert counts["fixed"] > 20
    assert "broken" not in counts


def test_heat_maps_belong_to_their_images(world: World) -> None:
    made = world.run(saliency=10)
    flips = made["flips"]
    shown = flips[flips["saliency"] >= 0].sort_values("saliency")
    assert shown["saliency"].tolist() == list(range(10))
    assert made["saliency"].shape == (10, 2, SIDE, SIDE)
    assert "still right" not in set(shown["change"])
    position = world.made["images"].reset_index().set_index("image_id")["index"][shown["image_id"]]
    assert (made["saliency"][:, 0] == world.made["pixels"][position.to_numpy(), :, :, 0]).all()


def test_a_model_without_maps_is_compared_without_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.learning.inference import saliency_maps

    def none(*_: Any) -> Any:
        raise saliency_maps.NoHeatMapError("no convolution")

    monkeypatch.setattr(saliency_maps, "compute_heat_maps", none)
    made = world.run(saliency=10)
    assert made["comparison"]["outcome"] == "tested"
    assert made["saliency"].shape == (0, 2, SIDE, SIDE)
    assert (made["flips"]["saliency"] == -1).all()


@pytest.mark.parametrize(
    ("targeted", "reason"),
    [(BAD, "no planned slice gained"), ({"dark": 0.1, "lit": 0.4}, "may be worse than control")],
)
def test_what_fails_on_val_never_sees_the_test(
    world: World, targeted: dict[str, float], reason: str
) -> None:
    world.candidates(control=[BAD], targeted=[targeted])
    comparison = world.run()["comparison"]
    assert comparison["outcome"] == "refused on val"
    assert reason in comparison["reason"]
    assert comparison["test"] is None
    assert not comparison["opening"]["opened"]
    assert not world.test_was_read
    assert not world.ledger.exists()
    ahead = [row for row in comparison["power"] if row["split"] == "test"]
    assert ahead[0]["groups"] > 20  # the groups at hand are known without a look


def test_a_repeated_run_reuses_its_opening_and_another_pays_more(world: World) -> None:
    first, again = world.run()["comparison"], world.run()["comparison"]
    assert again["opening"]["number"] == 1
    assert again["opening"]["reused"]
    assert again["test"] == first["test"]
    assert world.run("run2")["comparison"]["opening"]["alpha"] == pytest.approx(0.05 / 6)
    assert len(world.ledger.read_text().splitlines()) == 2


def test_a_used_up_test_stays_closed(world: World) -> None:
    for k in range(5):
        world.run(f"run{k}")
    world.test_was_read = False
    comparison = world.run("one too many")["comparison"]
    assert comparison["outcome"] == "used up"
    assert comparison["test"] is None
    assert "newly arrived" in comparison["reason"]
    assert not world.test_was_read


def test_several_seeds_are_all_listed_and_judged(world: World) -> None:
    world.candidates(
        control=[BAD, BAD, BAD], targeted=[GOOD, {"dark": 0.12, "lit": 0.05}, GOOD, GOOD]
    )
    comparison = world.run()["comparison"]
    for split in ("val", "test"):
        assert [row["seed"] for row in comparison[split]["arms"]["targeted"]] == [
            0,
            1,
            2,
        ]  # of both arms
        assert comparison[split]["overall"]["gain"]["seeds_judged"]
    assert comparison["counts"]["seeds"] == 3


def test_normal_endings_without_a_candidate(world: World) -> None:
    world.candidates()
    world.made["plan"] = world.made["plan"].iloc[:0]
    for outcome in ("no plan", "no slice", "no failures"):
        if outcome == "no slice":
            world.made["explanations"] = pd.DataFrame([_explanation("s1", "not confirmed")])
        if outcome == "no failures":
            truth = (world.made["predictions"]["label"] == "none").to_numpy().astype(int)
            world.made["predictions"][["logit_0", "logit_1"]] = np.eye(2, dtype=np.float32)[truth]
        made = world.run()
        assert made["comparison"]["outcome"] == outcome
        assert set(made["comparison"]["val"]["arms"]) == {"before"}
        assert made["comparison"]["test"] is None
        assert (made["flips"]["after"] == made["flips"]["before"]).all()
        assert not world.test_was_read
    assert made["saliency"].shape == (0, 2, SIDE, SIDE)


def test_no_image_in_test(world: World) -> None:
    world.made["splits"]["split"] = world.made["splits"]["split"].replace("test", "left_out")
    assert world.run()["comparison"]["outcome"] == "no test"


def test_a_rule_of_likeness_is_applied_only_after_the_opening(world: World) -> None:
    dark = world.made["membership"]["image_id"].iloc[0]
    world.made["explanations"]["frozen"] = Rule((Condition(str(dark), "near", 0.2),)).dump_json()
    comparison = world.run()["comparison"]
    assert comparison["test"]["primary"]["n"] > 0
    world.candidates(control=[BAD], targeted=[BAD])
    refused = world.run("run2")["comparison"]
    assert not [row for row in refused["power"] if row["split"] == "test"]


def test_a_slice_of_one_class_is_judged_on_images_of_that_class(world: World) -> None:
    dark = Condition("luminance", "<=", 40.0)
    world.made["explanations"]["frozen"] = Rule((dark,), "badge").dump_json()
    labels = world.made["images"].set_index("image_id")["label"]
    members = world.made["membership"]
    world.made["membership"] = members[(labels[members["image_id"]] == "badge").to_numpy()]
    here = (world.made["splits"]["split"] == "test").to_numpy() & (labels == "badge").to_numpy()
    comparison = world.run()["comparison"]
    assert (
        comparison["test"]["primary"]["n"]
        == (here & (world.made["attributes"]["luminance"] <= 40)).sum()
    )


def test_a_damaged_ledger_stops_before_any_look(world: World) -> None:
    world.ledger.write_text("garbage\n")
    with pytest.raises(InputError, match="ledger"):
        world.run()
    assert not world.test_was_read


def test_the_generic_arm_is_shown_beside_the_others_on_both_splits(world: World) -> None:
    world.candidates(control=[BAD], targeted=[GOOD], generic=[{"dark": 0.3, "lit": 0.05}])
    comparison = world.run()["comparison"]
    for split in ("val", "test"):
        part = comparison[split]["primary"]
        assert 0.05 < part["over_generic"]["mean"] < part["gain"]["mean"]
        assert part["generic"]["value"] > part["control"]["value"]


def test_errors_that_cost_less_weigh_less_in_the_gate_and_in_whom_to_decline(world: World) -> None:
    plain = world.run()["comparison"]
    world.made["metrics"]["costs"] = [[0.0, 0.1], [1.0, 0.0]]
    comparison = world.run("run2")["comparison"]
    assert comparison["costs"] == [{"label": "badge", "answer": "none", "cost": 0.1}]
    assert plain["costs"] == []
    assert (
        0
        < comparison["val"]["primary"]["gain"]["mean"]
        < 0.8 * plain["val"]["primary"]["gain"]["mean"]
    )
    assert comparison["val"]["primary"]["targeted"] == plain["val"]["primary"]["targeted"], (
        "accuracies stay"
    )
    assert comparison["decline"]["before"]["coverage"] > plain["decline"]["before"]["coverage"]
    assert comparison["opening"]["number"] == 2, "another endpoint is another opening"
