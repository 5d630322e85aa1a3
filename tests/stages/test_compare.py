"""Comparing the arms on validation and on the sealed test set: pipeline/stages/compare.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import DimensionSizes, InputError
from pipeline.domain.gate_conditions import evaluate_gate
from pipeline.domain.rules import Condition, Rule
from pipeline.graph import ARTIFACT_CONTRACTS, get_stage
from pipeline.learning.inference.saliency_maps import compute_heat_maps
from pipeline.learning.models.backbone import build_network, save_model
from pipeline.slices.tracking.slice_matching import hash_groups
from pipeline.stages import compare
from tests.helpers.gate_artifacts import (
    BAD,
    CLASS_NAMES,
    DARK_RULE,
    GOOD,
    SIDE,
    GateArtifacts,
    make_explanation,
    put_champion_in_force,
)
from tests.helpers.validation_sets import collect_needs


@pytest.fixture
def gate(tmp_path: Path) -> GateArtifacts:
    return GateArtifacts(tmp_path)


def _run_compare(gate: GateArtifacts, run_id: str = "run1", **settings: Any) -> dict[str, Any]:
    needs = collect_needs("compare", gate.artifacts)
    made = compare.run(compare.Config(**settings), gate.make_context(run_id), **needs)
    dimensions: DimensionSizes = {}
    for name, value in needs.items():
        ARTIFACT_CONTRACTS[name].check_value(name, value, dimensions)
    for name in get_stage("compare").makes:
        ARTIFACT_CONTRACTS[name].check_value(name, made[name], dimensions)
    return made


def test_a_repair_passes_val_and_opens_the_test_once(gate: GateArtifacts) -> None:
    pixels = gate.watch_pixels()
    comparison = _run_compare(gate)["comparison"]
    val = comparison["val"]
    test = comparison["test"]
    opening = comparison["opening"]
    assert comparison["outcome"] == "tested"
    assert (opening["number"], opening["alpha"], opening["opened"]) == (1, 0.025, True)
    assert opening["reason"] == "val passed"
    assert val["passed"]
    assert val["gained"] == ["s1"]
    assert val["slices"][0]["gain"]["mean"] > 0.3
    assert test["alpha"] == 0.025
    assert test["primary"]["passed"]
    assert test["primary"]["gain"]["mean"] > 0.3
    assert test["safety"]["before"]["overall_passed"]
    assert pixels.read_rows >= gate.test_rows
    assert {row["split"] for row in comparison["power"]} == {"val", "test"}
    assert [row["question"] for row in comparison["power"] if row["split"] == "test"] == [
        "overall not worse",
        "planned gain",
        "slice gain",
    ]


def test_the_opening_is_on_disk_before_the_test_is_read(gate: GateArtifacts) -> None:
    pixels = gate.watch_pixels()
    _run_compare(gate)
    has_ledger = [is_written for rows, is_written in pixels.reads if rows & gate.test_rows]
    assert has_ledger
    assert all(has_ledger)


def test_corrections_and_declines_are_chosen_on_val_and_measured_on_test(
    gate: GateArtifacts,
) -> None:
    correction = {"slice": "s1", "remedy": "exposure", "strength": 3.0, "helps": True}
    gate.artifacts["policy"]["corrections"] = [correction, {**correction, "helps": False}]
    made = _run_compare(gate)
    comparison = made["comparison"]
    before, targeted = comparison["corrections"]["val"]
    assert (before["arm"], before["helps"]) == ("before", True)
    assert before["gain"]["value"] > 0.4
    assert targeted["arm"] == "targeted"
    assert targeted["gain"]["value"] < 0.2, "a repaired model gains little"
    assert [row["n"] for row in comparison["corrections"]["test"]] != [before["n"]] * 2
    rules = comparison["decline"]
    assert rules["before"]["target_error"] == 0.2
    assert rules["before"]["coverage"] == 1, "corrected images are answered"
    assert not made["flips"]["declined_before"].any()
    assert rules["targeted"]["test"]["error"]["value"] < 0.3
    gate.artifacts["policy"]["corrections"] = []
    uncorrected = _run_compare(gate)
    coverage = uncorrected["comparison"]["decline"]["before"]["coverage"]
    assert coverage < 1
    assert uncorrected["flips"]["declined_before"].mean() == pytest.approx(1 - coverage)


def test_only_aggregates_of_the_test_are_kept(gate: GateArtifacts) -> None:
    made = _run_compare(gate)
    assert "image0" not in json.dumps(made["comparison"])
    split_of = gate.artifacts["splits"].set_index("image_id")["split"]
    assert (split_of[made["flips"]["image_id"]] == "val").all()


def test_the_baseline_is_that_of_evaluate(gate: GateArtifacts) -> None:
    made = _run_compare(gate)
    predictions = gate.artifacts["predictions"]
    arms = made["comparison"]["val"]["arms"]
    before = arms["before"][0]
    assert before["accuracy"]["value"] == pytest.approx(predictions["correct"].mean())
    assert before["calibration"]["temperature"] == 1.5
    assert arms["targeted"][0]["calibration"]["temperature"] == 2.0
    flips = made["flips"]
    assert (flips["before"].to_numpy() == predictions["predicted"].to_numpy()).all()
    counts = flips["change"].value_counts()
    assert counts["fixed"] > 20
    assert "broken" not in counts


def test_a_model_without_heat_maps_is_compared_without_them(gate: GateArtifacts) -> None:
    made = _run_compare(gate, max_heat_maps=10)
    assert made["comparison"]["outcome"] == "tested"
    assert made["saliency"].shape == (0, 2, SIDE, SIDE)
    assert (made["flips"]["saliency"] == -1).all()


def test_heat_maps_belong_to_their_images(gate: GateArtifacts) -> None:
    model = gate.folder / "network"
    seeds = {"before": 0, "control": 1, "targeted": 2}
    entries = []
    for arm, seed in seeds.items():
        network, meta = build_network(
            "test_efficientnet", "none", CLASS_NAMES, SIDE, 0.0, seed=seed
        )
        if arm == "before":
            save_model(model, network, meta | {"temperature": 1.0})
        else:
            file = f"{arm}-0.safetensors"
            save_model(gate.artifacts["candidates"], network, meta, file)
            entries.append({"arm": arm, "seed": 0, "file": file, "temperature": 1.0})
    candidates = gate.artifacts["candidates"]
    (candidates / "candidates.json").write_text(json.dumps(entries))
    gate.artifacts["model"] = model
    made = _run_compare(gate, max_heat_maps=5)
    flips = made["flips"]
    with_map = flips[flips["saliency"] >= 0].sort_values("saliency")
    assert with_map["saliency"].tolist() == list(range(len(made["saliency"])))
    assert 0 < len(with_map) <= 5
    assert "still right" not in set(with_map["change"])
    rows = pd.Index(gate.artifacts["images"]["image_id"]).get_indexer(with_map["image_id"])
    names = pd.Index(CLASS_NAMES)
    targets = np.stack([names.get_indexer(with_map[c]) for c in ("before", "after")], axis=1)
    weights = model / "model.safetensors"
    models = [(model, weights), (model, candidates / "targeted-0.safetensors")]
    expected = compute_heat_maps(models, gate.artifacts["pixels"][rows], targets)
    np.testing.assert_array_equal(made["saliency"], expected)


def test_a_better_champion_of_another_run_keeps_the_test_sealed(gate: GateArtifacts) -> None:
    put_champion_in_force(gate, (0.0, 0.0))
    comparison = _run_compare(gate)["comparison"]
    assert comparison["champion"] == {"status": "compared", "run_id": "old"}
    assert comparison["val"]["slices"][0]["gain"]["bound"] > 0, "better than the control"
    assert comparison["val"]["slices"][0]["over"]["champion"]["mean"] < 0
    assert comparison["opening"]["reason"] == "no gain on val"


def test_a_worse_champion_is_compared_on_both_splits(gate: GateArtifacts) -> None:
    put_champion_in_force(gate, (0.5, 0.06))
    comparison = _run_compare(gate)["comparison"]
    assert comparison["outcome"] == "tested"
    for split in ("val", "test"):
        assert list(comparison[split]["safety"]) == ["champion", "before", "control"]
        assert comparison[split]["primary"]["over"]["champion"]["mean"] > 0.2


@pytest.mark.parametrize(
    ("targeted", "reason"), [(BAD, "no gain on val"), ((0.1, 0.4), "harm on val")]
)
def test_candidates_that_fail_on_val_leave_the_test_sealed(
    gate: GateArtifacts, targeted: tuple[float, float], reason: str
) -> None:
    gate.write_candidates(control=[BAD], targeted=[targeted])
    pixels = gate.watch_pixels()
    comparison = _run_compare(gate)["comparison"]
    assert comparison["outcome"] == "refused on val"
    assert comparison["opening"]["reason"] == reason
    assert comparison["test"] is None
    assert not comparison["opening"]["opened"]
    assert not pixels.read_rows & gate.test_rows
    assert not gate.ledger.exists()
    sealed = [row for row in comparison["power"] if row["split"] == "test"]
    assert sealed[0]["groups"] > 20, "a rule on metadata counts groups without reading pixels"


def test_a_repeated_run_reuses_its_opening_and_another_run_pays_more(gate: GateArtifacts) -> None:
    first = _run_compare(gate)["comparison"]
    again = _run_compare(gate)["comparison"]
    assert again["opening"]["number"] == 1
    assert again["opening"]["reused"]
    assert again["outcome"] == "tested"
    assert again["test"] == first["test"]
    second = _run_compare(gate, "run2")["comparison"]
    assert second["opening"]["alpha"] == pytest.approx(0.05 / 6)
    assert len(gate.ledger.read_text().splitlines()) == 2


def test_a_used_up_test_stays_sealed(gate: GateArtifacts) -> None:
    for number in range(5):
        _run_compare(gate, f"run{number}")
    pixels = gate.watch_pixels()
    comparison = _run_compare(gate, "one too many")["comparison"]
    assert comparison["outcome"] == "used up"
    assert comparison["opening"]["reason"] == "used up"
    assert comparison["test"] is None
    assert not pixels.read_rows & gate.test_rows


def test_only_seeds_that_every_arm_has_are_compared(gate: GateArtifacts) -> None:
    gate.write_candidates(control=[BAD, BAD, BAD], targeted=[GOOD, (0.12, 0.05), GOOD, GOOD])
    comparison = _run_compare(gate)["comparison"]
    for split in ("val", "test"):
        seeds = [row["seed"] for row in comparison[split]["arms"]["targeted"]]
        assert seeds == [0, 1, 2]
        assert comparison[split]["overall"]["gain"]["seeds_judged"]
    assert comparison["counts"]["seeds"] == 3


@pytest.mark.parametrize("outcome", ["no plan", "no slice", "no failures"])
def test_a_run_without_candidates_has_an_outcome(gate: GateArtifacts, outcome: str) -> None:
    gate.write_candidates()
    gate.artifacts["plan"] = gate.artifacts["plan"].iloc[:0]
    if outcome != "no plan":
        explanations = pd.DataFrame([make_explanation("s1", "not confirmed")])
        gate.artifacts["explanations"] = explanations
    if outcome == "no failures":
        predictions = gate.artifacts["predictions"]
        labels = (predictions["label"] == "none").to_numpy().astype(int)
        predictions[["logit_0", "logit_1"]] = np.eye(2, dtype=np.float32)[labels]
    pixels = gate.watch_pixels()
    made = _run_compare(gate)
    comparison = made["comparison"]
    assert comparison["outcome"] == comparison["opening"]["reason"] == outcome
    assert set(comparison["val"]["arms"]) == {"before"}
    assert comparison["test"] is None
    assert (made["flips"]["after"] == made["flips"]["before"]).all()
    assert made["saliency"].shape == (0, 2, SIDE, SIDE)
    assert not pixels.read_rows & gate.test_rows


def test_without_a_test_image_there_is_no_test(gate: GateArtifacts) -> None:
    splits = gate.artifacts["splits"]
    gate.artifacts["splits"] = splits.assign(split=splits["split"].replace("test", "left_out"))
    assert _run_compare(gate)["comparison"]["outcome"] == "no test"


def test_a_rule_on_looks_is_applied_after_the_opening_only(gate: GateArtifacts) -> None:
    reference = str(gate.artifacts["membership"]["image_id"].iloc[0])
    rule = Rule((Condition(reference, "near", 0.2),))
    gate.artifacts["explanations"]["frozen"] = rule.dump_json()
    comparison = _run_compare(gate)["comparison"]
    assert comparison["test"]["primary"]["n"] > 0
    gate.write_candidates(control=[BAD], targeted=[BAD])
    refused = _run_compare(gate, "run2")["comparison"]
    assert not [row for row in refused["power"] if row["split"] == "test"]


def test_a_slice_of_one_class_is_compared_on_images_of_that_class(gate: GateArtifacts) -> None:
    artifacts = gate.artifacts
    artifacts["explanations"]["frozen"] = Rule(DARK_RULE.conditions, "badge").dump_json()
    is_badge = artifacts["images"]["label"] == "badge"
    badge_ids = artifacts["images"]["image_id"][is_badge]
    members = artifacts["membership"]
    artifacts["membership"] = members[members["image_id"].isin(badge_ids)]
    is_test = artifacts["splits"]["split"] == "test"
    is_dark = artifacts["attributes"]["luminance"] <= 40
    comparison = _run_compare(gate)["comparison"]
    assert comparison["test"]["primary"]["n"] == (is_test & is_badge & is_dark).sum()


def test_a_damaged_ledger_stops_before_the_test_is_read(gate: GateArtifacts) -> None:
    gate.ledger.write_text("garbage\n")
    pixels = gate.watch_pixels()
    with pytest.raises(InputError, match="ledger"):
        _run_compare(gate)
    assert not pixels.read_rows & gate.test_rows


def test_the_generic_arm_is_compared_on_both_splits(gate: GateArtifacts) -> None:
    gate.write_candidates(control=[BAD], targeted=[GOOD], generic=[(0.3, 0.05)])
    comparison = _run_compare(gate)["comparison"]
    for split in ("val", "test"):
        primary = comparison[split]["primary"]
        assert 0.05 < primary["over_generic"]["mean"] < primary["gain"]["mean"]
        assert primary["generic"]["value"] > primary["control"]["value"]


def test_cheaper_errors_weigh_less(gate: GateArtifacts) -> None:
    equal = _run_compare(gate)["comparison"]
    gate.artifacts["metrics"] = {"costs": [[0.0, 0.1], [1.0, 0.0]]}
    weighted = _run_compare(gate, "run2")["comparison"]
    assert weighted["costs"] == [{"label": "badge", "answer": "none", "cost": 0.1}]
    assert equal["costs"] == []
    gains = [item["val"]["primary"]["gain"]["mean"] for item in (equal, weighted)]
    assert 0 < gains[1] < 0.8 * gains[0]
    accuracies = [item["val"]["primary"]["targeted"] for item in (equal, weighted)]
    assert accuracies[0] == accuracies[1]
    bounds = [item["decline"]["before"]["bound"] for item in (equal, weighted)]
    assert bounds[1] < bounds[0]
    assert weighted["opening"]["number"] == 2, "another endpoint is another opening"


def _write_seen_candidates(gate: GateArtifacts, seen: tuple[float, float]) -> None:
    """Write candidates that ship other weights than those that judge the validation images."""
    gate.write_candidates(control=[BAD, seen], targeted=[GOOD, seen])
    folder = gate.artifacts["candidates"]
    entries = json.loads((folder / "candidates.json").read_text())
    merged = []
    for unseen, shipped in zip(entries[::2], entries[1::2], strict=True):
        files = [unseen["file"], unseen["file"]]
        merged.append({**unseen, "file": shipped["file"], "unseen": files})
    (folder / "candidates.json").write_text(json.dumps(merged))


def test_no_figure_of_val_comes_from_weights_that_saw_it(gate: GateArtifacts) -> None:
    """Whatever ships, every figure of validation stays as it is."""
    correction = {"slice": "s1", "remedy": "exposure", "strength": 3.0, "helps": True}
    gate.artifacts["policy"]["corrections"] = [correction]
    made = {}
    for number, seen in enumerate(((0.0, 0.0), (0.2, 0.1))):
        _write_seen_candidates(gate, seen)
        made[seen] = _run_compare(gate, f"run{number}", max_heat_maps=0)
    perfect, worse = made.values()
    assert perfect["comparison"]["val"] == worse["comparison"]["val"]
    pd.testing.assert_frame_equal(perfect["flips"], worse["flips"])
    np.testing.assert_array_equal(perfect["answers"], worse["answers"])
    rules = [item["comparison"]["decline"]["targeted"] | {"test": None} for item in made.values()]
    assert rules[0] == rules[1]
    gains = [item["comparison"]["corrections"]["val"][1]["gain"] for item in made.values()]
    assert gains[0] == gains[1]
    tested = [item["comparison"]["test"]["arms"]["targeted"][0] for item in made.values()]
    assert tested[0]["accuracy"]["value"] == 1
    assert tested[1]["accuracy"]["value"] < 0.95


def test_each_half_of_val_has_its_own_weights(gate: GateArtifacts) -> None:
    gate.write_candidates(control=[BAD, BAD, BAD], targeted=[GOOD, (0.0, 0.0), (1.0, 1.0)])
    folder = gate.artifacts["candidates"]
    entries = json.loads((folder / "candidates.json").read_text())
    merged = []
    for shipped, first, second in zip(entries[::3], entries[1::3], entries[2::3], strict=True):
        merged.append({**shipped, "unseen": [first["file"], second["file"]]})
    (folder / "candidates.json").write_text(json.dumps(merged))
    flips = _run_compare(gate, max_heat_maps=0)["flips"].set_index("image_id")
    folds = gate.artifacts["splits"].set_index("image_id")["fold"].reindex(flips.index)
    is_right = flips["after"] == flips["label"]
    assert is_right[folds % 2 == 0].all()
    assert not is_right[folds % 2 == 1].any()


def test_the_average_is_compared_with_the_model_before_and_the_seeds_with_the_control(
    gate: GateArtifacts,
) -> None:
    gate.write_candidates(control=[BAD, BAD, BAD], targeted=[(0.0, 0.0), GOOD, GOOD])
    folder = gate.artifacts["candidates"]
    entries = json.loads((folder / "candidates.json").read_text())
    entries = [{**entry, "seed": entry["seed"] or None} for entry in entries]
    (folder / "candidates.json").write_text(json.dumps(entries))
    comparison = _run_compare(gate)["comparison"]
    assert comparison["counts"]["seeds"] == 2
    overall = comparison["test"]["overall"]
    arms = comparison["test"]["arms"]
    assert [row["seed"] for row in arms["targeted"]] == [None, 1, 2]
    over_before = overall["targeted"]["value"] - overall["before"]["value"]
    assert overall["targeted"]["value"] == 1
    assert overall["over"]["before"]["mean"] == pytest.approx(over_before)
    assert overall["over"]["control"]["seeds"] == 2
    assert overall["over"]["control"]["mean"] < over_before
    assert [row["seeds"] for row in comparison["budget"]] == [2, 2]


def test_a_champion_that_saw_validation_images_is_compared_on_test_only(
    gate: GateArtifacts,
) -> None:
    bundle = put_champion_in_force(gate, (0.5, 0.06))
    seen = hash_groups(gate.artifacts["images"]["group"][:30].unique()).tolist()
    meta = json.loads((bundle / "model.json").read_text())
    (bundle / "model.json").write_text(json.dumps(meta | {"seen_groups": seen}))
    comparison = _run_compare(gate)["comparison"]
    assert comparison["outcome"] == "tested"
    assert list(comparison["val"]["safety"]) == ["before", "control"]
    assert list(comparison["test"]["safety"]) == ["champion", "before", "control"]
    assert evaluate_gate(comparison)
