"""The evaluate stage with a planted model: what it says of val, of labels, and that it leaves test alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.contracts import InputError, StageContext
from pipeline.learning import distributed
from pipeline.learning.inference import label_errors, model_outputs
from pipeline.learning.models import backbone
from pipeline.stages import evaluate
from pipeline.stages.evaluate import Config, build_predictions, compute_reliability_bins
from pipeline.statistics.group_intervals import estimate_cluster_mean
from pipeline.storage import review_decisions
from tests.learning.drawn import NAMES, World, draw
from tests.learning.pair import both


def _frame(world: World) -> Any:
    return world.images.assign(split=world.splits["split"])


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    """A "model" that answers by the label's own number, written into the first pixel, and errs where that says so."""
    world = World(groups=100, classes=3, names=NAMES)
    truth = world.images["label"].map({n: k for k, n in enumerate(NAMES)}).to_numpy()
    wrong = np.arange(len(truth)) % 5 == 0
    world.pixels[:, 0, 0, 2] = truth
    world.pixels[:, 0, 0, 0] = np.where(wrong, (truth + 1) % 3, truth)
    world.pixels[(world.splits["split"] == "test").to_numpy(), 0, 0, 1] = 251
    world.made["model"] = tmp_path

    def logits(model: Any, part: Any, meta: Any, batch: int, track: Any) -> np.ndarray:
        pixels = part[:]
        assert not (pixels[:, 0, 0, 1] == 251).any(), "the test is sealed"
        return (np.eye(3)[pixels[:, 0, 0, 0].astype(int)] * 4).astype(np.float32)

    def frozen(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert not (pixels[:, 0, 0, 1] == 251).any(), "the test is sealed"
        corner = pixels[:, 0, 0, 2].astype(int)
        noise = np.zeros((len(pixels), 1792))
        noise[:, :6] = (
            np.random.default_rng(0).normal(0, 0.3, (len(pixels), 6)) + 3 * np.eye(3, 6)[corner]
        )
        return np.tile(pixels[:, :8, :8].mean((1, 2)), (1, 427))[:, :1280].astype(
            np.float32
        ), noise.astype(np.float16)

    monkeypatch.setattr(backbone, "load_model", lambda folder: (None, {"temperature": 2.0}))
    monkeypatch.setattr(model_outputs, "compute_logits", logits)
    monkeypatch.setattr(model_outputs, "extract_features_and_layout", frozen)
    return world


def test_predictions_are_of_the_labeled_images_of_val(world: World, tmp_path: Path) -> None:
    val = _frame(world).query("split == 'val'")
    world.images.loc[val.index[:2], "label"] = None
    made, _ = world.run(evaluate, tmp_path, Config())
    table = made["predictions"]
    assert list(table["image_id"]) == list(val["image_id"][2:])
    assert list(table["label"]) == list(val["label"][2:])
    assert (table["correct"] == (table["label"] == table["predicted"])).all()
    assert 0.7 < table["correct"].mean() < 0.9
    assert (table["margin"][table["correct"]] == 4).all()
    assert (table["margin"][~table["correct"]] == -4).all()
    assert table["confidence"].iloc[0] == pytest.approx(np.exp(2) / (np.exp(2) + 2)), (
        "after the temperature"
    )
    assert {str(table[f"logit_{k}"].dtype) for k in range(3)} == {"float32"}


def test_a_chunk_of_features_is_in_memory_at_a_time(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = world.run(evaluate, tmp_path / "whole", Config())
    asked: list[int] = []
    ask = model_outputs.extract_features_and_layout

    def counted(pixels: np.ndarray) -> Any:
        asked.append(len(pixels))
        return ask(pixels)

    monkeypatch.setattr(model_outputs, "extract_features_and_layout", counted)
    monkeypatch.setattr(evaluate, "IMAGES_PER_CHUNK", 7)
    monkeypatch.setattr(label_errors, "PREDICTION_CHUNK_SIZE", 11)
    parts, _ = world.run(evaluate, tmp_path / "parts", Config())
    assert max(asked) <= 7
    assert isinstance(parts["embeddings"], np.memmap)
    np.testing.assert_array_equal(parts["embeddings"], whole["embeddings"])
    assert parts["label_issues"].equals(whole["label_issues"])


def _frozen(rank: int, folder: Path) -> None:
    context = StageContext("run", 0, folder / str(rank), folder)
    context.scratch_folder.mkdir()
    evaluate.IMAGES_PER_CHUNK = 4
    with distributed.share_work():
        for values in evaluate.compute_frozen_features(draw(10).pixels, np.arange(1, 9), context):
            assert isinstance(values, np.memmap)
            np.save(folder / f"{rank}-{values.shape[1]}.npy", values)
            (folder / f"{rank}-{values.shape[1]}.txt").write_text(str(values.filename))


def test_of_two_processes_the_first_writes_the_features_and_both_read_them(tmp_path: Path) -> None:
    both(_frozen, tmp_path)
    alone = evaluate.compute_frozen_features(
        draw(10).pixels, np.arange(1, 9), StageContext("run", 0, tmp_path, tmp_path)
    )
    for values, file in zip(alone, ("embeddings.npy", "layout.npy"), strict=True):
        for rank in range(2):
            found = np.load(tmp_path / f"{rank}-{values.shape[1]}.npy")
            np.testing.assert_allclose(found, values, atol=2e-3)
            assert (tmp_path / f"{rank}-{values.shape[1]}.txt").read_text() == str(
                tmp_path / "0" / file
            )
    assert list((tmp_path / "1").iterdir()) == [], "the second keeps no copy"


def test_embeddings_are_of_every_image_but_the_tests(world: World, tmp_path: Path) -> None:
    found = world.run(evaluate, tmp_path, Config())[0]["embeddings"]
    sealed = (world.splits["split"] == "test").to_numpy()
    assert np.isnan(found[sealed]).all()
    assert np.isfinite(found[~sealed]).all()
    for row in np.flatnonzero(~sealed)[[0, 7, -1]]:
        own = world.pixels[row, :8, :8].mean((0, 1))
        np.testing.assert_allclose(found[row, :3], own, rtol=1e-5)


def test_metrics_are_by_group_and_by_class(world: World, tmp_path: Path) -> None:
    made, _ = world.run(evaluate, tmp_path, Config())
    table, metrics = made["predictions"], made["metrics"]
    val = (world.splits["split"] == "val").to_numpy()
    wanted = estimate_cluster_mean(
        table["correct"].to_numpy(), world.images["group"].to_numpy()[val]
    ).build_record()
    assert metrics["accuracy"] == wanted
    assert metrics["accuracy"]["groups"] == 30
    counts = np.array(metrics["confusion"])
    for k, name in enumerate(NAMES):
        own = table[table["label"] == name]
        assert counts[k].tolist() == [int((own["predicted"] == n).sum()) for n in NAMES]
        assert metrics["classes"][k]["recall"] == pytest.approx(own["correct"].mean())
    bins = metrics["calibration"]["bins"]
    assert sum(b["n"] for b in bins) == len(table)
    gap = sum(b["n"] * abs(b["accuracy"] - b["confidence"]) for b in bins) / len(table)
    assert metrics["calibration"]["ece"] == pytest.approx(gap)
    assert metrics["calibration"]["temperature"] == 2.0


def test_reliability_bins_hold_what_they_say() -> None:
    bins = compute_reliability_bins(
        np.array([0.34, 0.35, 1.0, 0.99]), np.array([True, False, True, True])
    )
    assert [(b["n"], b["accuracy"]) for b in bins] == [(2, 0.5), (2, 1.0)]
    assert bins[1]["high"] == 1.0
    assert bins[0]["low"] <= 0.34 < 0.35 < bins[0]["high"]


def test_margins_of_a_tie_and_of_no_image() -> None:
    images = World(groups=1).images["image_id"]
    tie = build_predictions(
        images, np.array([0, 1]), np.array([[1.0, 1.0], [0.0, 3.0]], np.float32), ["a", "b"], 1.0
    )
    assert tie["margin"].tolist() == [0.0, 3.0]
    none = build_predictions(
        images[:0], np.zeros(0, np.int64), np.zeros((0, 2), np.float32), ["a", "b"], 1.0
    )
    assert len(none) == 0


def test_an_empty_val_ends_well(world: World, tmp_path: Path) -> None:
    world.splits.loc[world.splits["split"] == "val", "split"] = "train"
    made, _ = world.run(evaluate, tmp_path, Config())
    assert len(made["predictions"]) == 0
    assert made["metrics"]["accuracy"]["n"] == 0


def test_planted_wrong_labels_are_suspected_and_never_in_test(world: World, tmp_path: Path) -> None:
    frame = _frame(world)
    train, val, test = (frame.index[frame["split"] == s][5] for s in ("train", "val", "test"))
    for row in (train, val, test):
        world.images.loc[row, "label"] = NAMES[(NAMES.index(frame["label"][row]) + 1) % 3]
    made, notes = world.run(evaluate, tmp_path, Config())
    found = made["label_issues"].query("kind == 'suspected'").set_index("image_id")
    ids = frame["image_id"]
    assert notes == []
    assert set(found.index) == {ids[train], ids[val]}
    assert found.loc[ids[train], "suggested"] == frame["label"][train]
    assert found.loc[ids[val], "suggested"] == frame["label"][val]
    assert found.loc[ids[val], "split"] == "val"


def test_the_same_bytes_under_two_labels_are_a_conflict(world: World, tmp_path: Path) -> None:
    frame = _frame(world)
    a, b = (
        frame.query("split == 'train' and label == @n")["image_id"].iloc[0]
        for n in ("lying", "square")
    )
    c = frame.query("split == 'train' and label == 'lying'")["image_id"].iloc[1]
    t, u = (
        frame.query("split == 'test' and label == @n")["image_id"].iloc[0]
        for n in ("lying", "standing")
    )
    world.duplicates.loc[0] = [a, b, "exact", 0, False, False]
    world.duplicates.loc[1] = [c, b, "near", 2, False, False]
    world.duplicates.loc[2] = [t, u, "exact", 0, False, False]
    world.duplicates.loc[3] = [a, c, "exact", 0, True, False]
    made, _ = world.run(evaluate, tmp_path, Config(check_labels=False))
    found = made["label_issues"].set_index("image_id")
    assert set(found.index) == {a, b}
    assert (found.loc[a, "label"], found.loc[a, "suggested"], found.loc[a, "split"]) == (
        "lying",
        "square",
        "train",
    )
    assert set(found["kind"]) == {"conflict"}


def test_too_few_groups_and_thinned_heads_are_noted(world: World, tmp_path: Path) -> None:
    _, notes = world.run(evaluate, tmp_path, Config(label_check_images=100))
    assert notes == ["label heads learnt from about 100 of 180 images, evenly by group"]
    world.splits["split"] = ["train"] * 20 + ["val"] * 10 + ["test"] * 170
    world.pixels[:, 0, 0, 1] = np.where(world.splits["split"] == "test", 251, 0)
    made, notes = world.run(evaluate, tmp_path, Config())
    assert notes == ["too few groups to look for wrong labels"]
    assert len(made["label_issues"]) == 0


def test_the_check_can_be_left_out(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_errors, "predict_out_of_fold", None)
    assert len(world.run(evaluate, tmp_path, Config(check_labels=False))[0]["label_issues"]) == 0


def test_with_a_real_network_twice_the_same(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    world = World(groups=30)
    model, meta = backbone.build_network("test_efficientnet", "none", world.names, 32, 0.0)
    world.made["model"] = backbone.save_model(tmp_path / "model", model, meta)
    one, two = (world.run(evaluate, tmp_path, Config())[0] for _ in range(2))
    assert one["predictions"].equals(two["predictions"])
    assert one["label_issues"].equals(two["label_issues"])
    assert np.array_equal(one["embeddings"], two["embeddings"], equal_nan=True)
    assert one["embeddings"].shape == (60, 1280)


def test_a_reviewers_word_on_a_label_stands(world: World, tmp_path: Path) -> None:
    frame = _frame(world)
    val, test = (frame.query(f"split == '{s}'")["image_id"].iloc[0] for s in ("val", "test"))
    labels = [{"image_id": i, "decision": "wrong", "suggested": NAMES[0]} for i in (val, test)]
    plain, _ = world.run(evaluate, tmp_path, Config())
    suspected = list(plain["label_issues"]["image_id"])
    labels += [{"image_id": i, "decision": "right"} for i in suspected if i != val]
    assert evaluate.fingerprint_external_inputs(Config(), tmp_path / "run", None) == ""
    (tmp_path / "saved.json").write_text(json.dumps({"review": 1, "run_id": "r", "labels": labels}))
    review_decisions.apply_review_file(tmp_path, tmp_path / "saved.json")
    assert evaluate.fingerprint_external_inputs(Config(), tmp_path / "run", None) != ""
    assert evaluate.fingerprint_external_inputs(Config(), tmp_path / "run", "") == "", (
        "a run that stands is not started anew"
    )
    issues = world.run(evaluate, tmp_path, Config())[0]["label_issues"]
    assert list(issues["image_id"]) == [val]
    assert issues.iloc[0][["kind", "suggested", "split"]].tolist() == ["reviewed", NAMES[0], "val"]


def test_costs_are_kept_with_the_metrics_and_an_unknown_class_is_an_error(
    world: World, tmp_path: Path
) -> None:
    made, _ = world.run(evaluate, tmp_path / "a", Config())
    assert made["metrics"]["costs"] is None, "all errors cost alike"
    some = Config(costs={NAMES[0]: {NAMES[1]: 0.25}})
    made, _ = world.run(evaluate, tmp_path / "b", some)
    costs = np.array(made["metrics"]["costs"])
    assert costs[0].tolist() == [0.0, 0.25, 1.0]
    assert np.diag(costs).tolist() == [0.0] * 3
    with pytest.raises(InputError, match=r"evaluate\.costs: there is no class 'nobody'"):
        world.run(evaluate, tmp_path / "c", Config(costs={"nobody": {NAMES[1]: 0.25}}))
