"""Proposing slices: pipeline/stages/cluster.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts import StageContext
from pipeline.domain.rule_columns import build_condition_frame
from pipeline.domain.rules import Rule
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.slices.candidates.rule_admission import measure_reference_distances
from pipeline.stages import cluster
from tests.helpers.validation_sets import collect_needs
from tests.stages.finder_artifacts import make_finder_artifacts


def _run_cluster(
    artifacts: dict[str, Any], folder: Path, **settings: Any
) -> tuple[dict[str, Any], list[str]]:
    context = StageContext("r", 0, folder, folder)
    needs = collect_needs("cluster", artifacts)
    made = cluster.run(cluster.Config(**settings), context, **needs)
    for name, value in made.items():
        ARTIFACT_CONTRACTS[name].check_value(name, value, {})
    return made, context.notes


def test_the_planted_slice_is_proposed_with_the_intervention_that_repairs_it(
    tmp_path: Path,
) -> None:
    artifacts = make_finder_artifacts()
    made, _ = _run_cluster(artifacts, tmp_path)
    first = made["slices"][made["slices"]["slice"] == "s1"]
    assert len(first) >= 3
    assert first["remedy"].mode().iloc[0] == "exposure"
    members = set(made["membership"].query("slice == 's1'")["image_id"])
    dark = set(artifacts["attributes"].query("luminance < 60")["image_id"])
    assert len(members & dark) > 0.6 * len(dark)
    assert len(members - dark) < 0.3 * len(members)


def test_every_member_is_admitted_by_the_rule_of_its_fold(tmp_path: Path) -> None:
    artifacts = make_finder_artifacts()
    made, _ = _run_cluster(artifacts, tmp_path)
    frame = build_condition_frame(artifacts["images"], artifacts["attributes"])
    fold_of = artifacts["splits"].set_index("image_id")["fold"]
    membership = made["membership"]
    assert (fold_of[membership["image_id"]].to_numpy() == membership["fold"]).all()
    is_in_fold = {fold: frame["image_id"].map(fold_of) == fold for fold in range(5)}
    for row in made["slices"].to_dict("records"):
        rule = Rule.parse_json(row["rule"])
        distances = measure_reference_distances(frame, [rule], artifacts["embeddings"])
        is_admitted = rule.compute_mask(frame, distances)
        expected = frame["image_id"][is_admitted & is_in_fold[row["fold"]]]
        is_row = (membership["slice"] == row["slice"]) & (membership["fold"] == row["fold"])
        assert set(membership["image_id"][is_row]) == set(expected)


def test_without_failures_no_slice_is_proposed(tmp_path: Path) -> None:
    artifacts = make_finder_artifacts()
    predictions = artifacts["predictions"]
    correct = predictions.assign(predicted=predictions["label"], correct=True)
    made, notes = _run_cluster(artifacts | {"predictions": correct}, tmp_path)
    assert made["slices"].empty
    assert made["membership"].empty
    assert notes == ["no failures on val: there is nothing to find"]


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_a_handful_of_images_gives_no_slice(tmp_path: Path, groups: int) -> None:
    made, _ = _run_cluster(make_finder_artifacts(groups=groups, frames=2), tmp_path)
    assert made["slices"].empty
