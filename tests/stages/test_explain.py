"""Testing slices and naming their causes: pipeline/stages/explain.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.attributes import measure_images
from pipeline.contracts import StageContext
from pipeline.domain.rules import Rule
from pipeline.domain.slice_traits import ConfusionTrait, parse_traits
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.learning.models.backbone import build_network, save_model
from pipeline.report.sentences.slice_sentences import add_sentences, describe_slice
from pipeline.slices.causes.repair_test import InterventionTools
from pipeline.stages import cluster, explain
from tests.helpers.validation_sets import build_from_artifacts, collect_needs
from tests.stages.finder_artifacts import CLASS_NAMES, make_finder_artifacts

CONFIG = explain.Config(matched_images=30)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network, meta = build_network("test_efficientnet", "none", CLASS_NAMES, 16, 0.0)
    return save_model(tmp_path_factory.mktemp("model"), network, meta)


def _add_slices(artifacts: dict[str, Any], folder: Path) -> dict[str, Any]:
    context = StageContext("r", 0, folder, folder)
    return artifacts | cluster.run(cluster.Config(), context, **collect_needs("cluster", artifacts))


def _run_explain(artifacts: dict[str, Any], model: Path, folder: Path) -> dict[str, Any]:
    """Run cluster and explain with a real model."""
    context = StageContext("r", 0, folder, folder)
    artifacts = _add_slices(artifacts | {"model": model}, folder)
    made = explain.run(CONFIG, context, **collect_needs("explain", artifacts))
    for name, value in made.items():
        ARTIFACT_CONTRACTS[name].check_value(name, value, {})
    return made


def _explain_with_inert_remedies(artifacts: dict[str, Any], folder: Path) -> pd.DataFrame:
    """Run cluster and explain with treatments that change nothing, so that no cause is named."""
    artifacts = _add_slices(artifacts, folder)
    pixels = artifacts["pixels"]
    labels = artifacts["images"]["label"].map(CLASS_NAMES.index)
    label_of = {}
    for image, label in zip(pixels, labels, strict=True):
        label_of[image.tobytes()] = label

    def predict_labels(images: NDArray[np.uint8]) -> NDArray[np.intp]:
        return np.array([label_of[image.tobytes()] for image in images], dtype=np.intp)

    tools = InterventionTools(
        pixels,
        lambda remedy, images, low, high, seed: images,
        lambda images: measure_images(images).to_numpy(dtype=float),
        predict_labels,
    )
    made = explain.explain_slices(
        CONFIG,
        StageContext("r", 0, folder, folder),
        build_from_artifacts(artifacts),
        tools,
        slices=artifacts["slices"],
        membership=artifacts["membership"],
        dose_response=artifacts["dose_response"],
    )
    table: pd.DataFrame = made["explanations"]
    return table


@pytest.fixture(scope="module")
def planted(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the outputs on the drawn artifacts; the tests leave them unchanged."""
    return _run_explain(make_finder_artifacts(), model, tmp_path_factory.mktemp("planted"))


def test_the_planted_slice_is_confirmed_with_its_numbers(planted: dict[str, Any]) -> None:
    first = planted["explanations"].iloc[0]
    assert first["status"] == "confirmed"
    assert first["q_value"] < 0.05
    assert first["low"] > 0
    assert first["error"] - first["expected"] == pytest.approx(first["excess"])
    assert first["remedy"] == "exposure"
    assert first["n"] >= 30
    assert first["groups"] >= 10
    confirmed = planted["explanations"].query("status == 'confirmed'")
    assert set(planted["causes"]["slice"]) == set(confirmed["slice"])


def test_one_tested_rule_is_frozen_and_every_applied_rule_is_listed(
    planted: dict[str, Any], tmp_path: Path
) -> None:
    artifacts = _add_slices(make_finder_artifacts(), tmp_path)
    fold_of = artifacts["splits"].set_index("image_id")["fold"]
    for row in planted["explanations"].to_dict("records"):
        table = artifacts["slices"].query("slice == @row['slice']")
        rules = {}
        for fold, rule in zip(table["fold"], table["rule"], strict=True):
            rules[fold % 2] = Rule.parse_json(rule)
        frozen = Rule.parse_json(row["frozen"])
        assert frozen in rules.values()
        assert row["rule"] == frozen.format_text()
        members = artifacts["membership"].query("slice == @row['slice']")["image_id"]
        counts = (fold_of[members] % 2).value_counts()
        applied = []
        for half, rule in sorted(rules.items()):
            count = int(counts.get(half, 0))
            applied.append({"rule": rule.format_text(), "half": half, "count": count})
        assert json.loads(row["applied_rules"]) == applied
        assert row["n"] == counts.sum()


def test_slices_without_a_named_cause_say_so(planted: dict[str, Any]) -> None:
    explanations = planted["explanations"]
    named = planted["causes"][planted["causes"]["is_named"]]
    unnamed = explanations[explanations["cause"].isna()]
    assert set(named["slice"]) == set(explanations["slice"]) - set(unnamed["slice"])
    assert add_sentences(unnamed)["words"].str.contains("cause unnamed").all()
    assert (unnamed["confidence"] == "unnamed").all()
    assert (explanations.loc[explanations["cause"].notna(), "shared_traits"] == "[]").all()


def test_a_confirmed_slice_without_a_cause_is_described_by_shared_traits(tmp_path: Path) -> None:
    explanations = _explain_with_inert_remedies(make_finder_artifacts(), tmp_path)
    is_confirmed = explanations["status"] == "confirmed"
    assert is_confirmed.any()
    assert explanations["cause"].isna().all()
    for text in explanations.loc[is_confirmed, "shared_traits"]:
        confusion = parse_traits(text)[0]
        assert isinstance(confusion, ConfusionTrait)
        assert 0 < confusion.count <= confusion.failures
    assert (explanations.loc[~is_confirmed, "shared_traits"] == "[]").all()


def test_images_without_the_mark_of_their_class_are_a_slice_without_a_cause(
    model: Path, tmp_path: Path
) -> None:
    artifacts = make_finder_artifacts(planted=False)
    images = artifacts["images"]
    predictions = artifacts["predictions"]
    is_a = (images["label"] == "a").to_numpy()
    is_unmarked = is_a & (np.arange(len(images)) % 4 == 0)
    artifacts["marks"]["mark of a"] = is_a & ~is_unmarked
    is_missed = predictions["image_id"].isin(images["image_id"][is_unmarked])
    predictions.loc[is_missed, ["predicted", "correct"]] = ("b", False)
    explanations = _run_explain(artifacts, model, tmp_path)["explanations"]
    first = explanations[explanations["rule"] == "without the mark of a, class a"].iloc[0]
    assert (first["status"], first["confidence"]) == ("confirmed", "leans on a mark")
    assert first["n"] == is_missed.sum()
    assert "without the mark of a" in describe_slice(first).sentence.lower()
    assert pd.isna(first["cause"])
    assert first["shared_traits"] == "[]"


def test_without_a_planted_slice_little_is_confirmed(model: Path, tmp_path: Path) -> None:
    confirmed_count = 0
    for seed in range(8):
        artifacts = make_finder_artifacts(seed, planted=False)
        explanations = _run_explain(artifacts, model, tmp_path)["explanations"]
        confirmed_count += (explanations["status"] == "confirmed").any()
    assert confirmed_count <= 2


def test_slices_of_few_groups_say_how_many_would_do(model: Path, tmp_path: Path) -> None:
    artifacts = make_finder_artifacts(groups=24, frames=20)
    explanations = _run_explain(artifacts, model, tmp_path)["explanations"]
    assert (explanations["groups_needed"].dropna() >= 10).all()
    assert explanations["groups_needed"].notna().any()


def test_cheaper_errors_make_a_smaller_excess(planted: dict[str, Any], tmp_path: Path) -> None:
    equal = planted["explanations"].iloc[0]
    for cost in (0.25, 1.0):
        artifacts = make_finder_artifacts()
        costs = (cost * (1 - np.eye(len(CLASS_NAMES)))).tolist()
        artifacts["metrics"] = artifacts["metrics"] | {"costs": costs}
        first = _explain_with_inert_remedies(artifacts, tmp_path).iloc[0]
        assert first["excess"] == pytest.approx(cost * equal["excess"])
        assert first["failures"] == equal["failures"]
        assert first["error"] - first["expected"] == pytest.approx(first["excess"])
