from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.contracts import StageContext
from pipeline.domain.rule_columns import build_condition_frame
from pipeline.domain.rules import Rule
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.stages import cluster
from tests.helpers.validation_sets import collect_needs
from tests.stages.finder_artifacts import make_finder_artifacts


def _run(
    given: dict[str, Any], folder: Path, **settings: Any
) -> tuple[dict[str, Any], StageContext]:
    context = StageContext("r", 0, folder, folder)
    needs = collect_needs("cluster", given)
    made = cluster.run(cluster.Config(**settings), context, **needs)
    for name, value in made.items():
        ARTIFACT_CONTRACTS[name].check_value(name, value, {})
    return made, context


def test_the_planted_slice_is_found_in_most_folds_with_the_intervention_that_repairs_it(
    tmp_path: Path,
) -> None:
    given = make_finder_artifacts()
    made, _ = _run(given, tmp_path)
    first = made["slices"][made["slices"]["slice"] == "s1"]
    assert len(first) >= 3
    assert first["remedy"].mode().iloc[0] == "exposure"
    members = set(made["membership"].query("slice == 's1'")["image_id"])
    dark = set(given["attributes"].query("luminance < 60")["image_id"])
    assert len(members & dark) > 0.6 * len(dark)
    assert len(members - dark) < 0.3 * len(members)


def test_every_member_is_admitted_by_the_rule_that_never_saw_its_fold(tmp_path: Path) -> None:
    given = make_finder_artifacts()
    made, _ = _run(given, tmp_path, prototypes=0)
    frame = build_condition_frame(given["images"], given["attributes"])
    fold = given["splits"].set_index("image_id")["fold"]
    assert (fold[made["membership"]["image_id"]].to_numpy() == made["membership"]["fold"]).all()
    for row in made["slices"].to_dict("records"):
        admitted = frame["image_id"][Rule.parse_json(row["rule"]).compute_mask(frame)]
        mine = made["membership"].query(f"slice == '{row['slice']}' and fold == {row['fold']}")[
            "image_id"
        ]
        assert set(mine) == {i for i in admitted if fold[i] == row["fold"]}


def test_the_outcome_of_a_fold_never_reaches_the_rules_applied_to_it(tmp_path: Path) -> None:
    """Turn every answer of fold 0 around: the rules applied to fold 0 must not move."""
    given = make_finder_artifacts()
    made, _ = _run(given, tmp_path)
    turned = make_finder_artifacts()
    here = (turned["splits"]["fold"].iloc[: len(turned["predictions"])] == 0).to_numpy()
    predictions = turned["predictions"].copy()
    predictions.loc[here, "predicted"] = np.where(
        predictions.loc[here, "correct"], "b", predictions.loc[here, "label"]
    )
    predictions.loc[here, "correct"] = (
        predictions.loc[here, "predicted"] == predictions.loc[here, "label"]
    )
    again, _ = _run({**turned, "predictions": predictions}, tmp_path)
    rules = [set(m["slices"].query("fold == 0")["rule"]) for m in (made, again)]
    assert (
        rules[0] & rules[1] == rules[0] or len(rules[0] ^ rules[1]) <= 1
    )  # a slice may fall out of the ranking


def test_no_failures_make_no_slices_and_say_so(tmp_path: Path) -> None:
    given = make_finder_artifacts()
    given["predictions"] = given["predictions"].assign(
        predicted=given["predictions"]["label"], correct=True
    )
    made, context = _run(given, tmp_path)
    assert made["slices"].empty
    assert made["membership"].empty
    assert context.notes == ["no failures on val: there is nothing to find"]


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_a_handful_of_images_survives(tmp_path: Path, groups: int) -> None:
    made, _ = _run(make_finder_artifacts(groups=groups, frames=2), tmp_path)
    assert made["slices"].empty
