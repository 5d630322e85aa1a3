from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import ContractError, InputError
from pipeline.domain.probe_results import ProbeMeasurements
from pipeline.domain.validation_set import ValidationSet
from pipeline.domain.validation_set_builder import build_validation_set
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.storage.artifact_store import RunFolder
from tests.helpers.validation_sets import make_validation_set

FRAME = pd.DataFrame(
    {"image_id": list("abcd"), "label": ["x", "y", "x", "y"], "group": list("1122")}
)
OTHER_COLUMNS = pd.DataFrame({"camera": ["n", "n", "s", "n"]})
SPLITS = pd.DataFrame(
    {"image_id": list("abcd"), "split": ["val", "train", "val", "val"], "fold": [0, -1, 1, 2]}
)
PREDICTIONS = pd.DataFrame(
    {
        "image_id": list("dac"),
        "label": ["y", "x", "x"],
        "predicted": ["x", "x", "y"],
        "confidence": [0.5, 0.9, 0.7],
        "margin": [-1.0, 2.0, -3.0],
        "logit_0": [2.0, 3.0, 0.0],
        "logit_1": [1.0, 1.0, 3.0],
    }
)
PROBE = ProbeMeasurements(
    image_ids=["c", "d"],
    weights=np.array([1.0, 2.0]),
    screen_weights=np.array([1.0, 2.0]),
    responses=np.array([[0, 1], [1, 1]], np.int16),
)
COSTS = [[0.0, 0.25], [1.0, 0.0]]


def _build(label_issues: str = "", **artifacts: Any) -> ValidationSet:
    """Return the set of the images d, a and c; the others are not in it."""
    defaults: dict[str, Any] = {
        "splits": SPLITS,
        "classes": {"names": ["x", "y"]},
        "predictions": PREDICTIONS,
        "embeddings": np.arange(8, dtype=np.float32).reshape(4, 2),
        "metrics": {},
        "label_issues": pd.DataFrame({"image_id": pd.Series(list(label_issues), dtype="str")}),
    }
    return build_validation_set((FRAME, OTHER_COLUMNS), PROBE, **(defaults | artifacts))


def test_all_artifacts_are_aligned_to_the_rows_of_the_predictions() -> None:
    val = _build()
    assert val.image_ids.tolist() == ["d", "a", "c"]
    assert val.all_columns["camera"].tolist() == ["n", "n", "s"]
    assert val.image_rows.tolist() == [3, 0, 2]
    assert val.embeddings[:, 0].tolist() == [6, 0, 4]
    assert val.folds.tolist() == [2, 0, 1]
    assert val.groups.tolist() == ["2", "1", "2"]
    assert val.is_misclassified.tolist() == [True, False, True]
    assert val.probabilities.argmax(1).tolist() == val.predictions.tolist()
    assert (val.image_count, val.intervention_count) == (3, 2)


def test_probed_images_are_found_by_their_ids() -> None:
    val = _build()
    assert val.probed_rows.tolist() == [2, 0]
    assert val.probe_results.after.tolist() == [[True, False], [True, True]]
    assert val.probe_results.change.tolist() == [[1, 0], [1, 1]]
    assert val.probe_results.margin.tolist() == [-3.0, -1.0]


def test_images_with_a_label_issue_are_kept_apart_from_failures() -> None:
    val = _build("c")
    assert val.has_label_issue.tolist() == [False, False, True]
    trusted = val.exclude_label_issues()
    assert trusted.image_ids.tolist() == ["d", "a"]
    assert trusted.probed_rows.tolist() == [0]
    assert trusted.responses.tolist() == [[1, 1]]
    assert trusted.probe_weights.tolist() == [2.0]
    assert trusted.is_misclassified.tolist() == [True, False]
    assert _build().exclude_label_issues().image_count == 3


def test_an_intervention_saves_the_cost_of_the_error_that_it_repairs() -> None:
    assert _build().saved_costs.tolist() == [[1.0, 0.0], [1.0, 1.0]]
    val = _build(metrics={"costs": COSTS})
    assert val.error_losses.tolist() == [1.0, 0.0, 0.25]
    assert val.saved_costs.tolist() == [[0.25, 0.0], [1.0, 1.0]]


def test_a_slice_is_weighed_by_the_cost_of_its_errors() -> None:
    membership = pd.DataFrame({"image_id": ["c", "a"], "slice": "s1"})
    val = _build(metrics={"costs": COSTS})
    assert val.find_members("s1", membership).tolist() == [False, True, True]
    assert val.weigh_slice("s1", 2, membership) == 0.5
    assert val.weigh_slice("unknown", 2, membership) == 2.0


def _assert_equal(one: ValidationSet, other: ValidationSet) -> None:
    for name, value in vars(one).items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(value, getattr(other, name))
        else:
            np.testing.assert_array_equal(value, getattr(other, name))


@pytest.mark.parametrize("costs", [None, COSTS])
def test_a_run_loads_what_was_saved(tmp_path: Path, costs: Any) -> None:
    saved, run = _build("c", metrics={"costs": costs}), RunFolder.open_or_create(tmp_path / "r")
    folder = run.get_artifact_path("validation_set")
    folder.parent.mkdir()
    saved.save(folder)
    _assert_equal(saved, run.load_artifact("validation_set"))
    (folder / "logits.npy").write_bytes(b"cut short")
    with pytest.raises(InputError, match="cannot be read"):
        run.load_artifact("validation_set")


def test_large_arrays_are_memory_mapped(tmp_path: Path) -> None:
    n = 3000
    frame = pd.DataFrame({"image_id": [f"i{k}" for k in range(n)], "label": "a", "group": "g"})
    zeros = np.zeros(n, np.intp)
    large = make_validation_set(frame, zeros, zeros, embeddings=np.ones((n, 128), np.float32))
    large.save(tmp_path / "set")
    loaded = ValidationSet.load(tmp_path / "set")
    assert isinstance(loaded.embeddings, np.memmap)
    assert not isinstance(loaded.labels, np.memmap)
    assert loaded.select_rows(np.arange(n) < 5).embeddings.shape == (5, 128)


def test_images_can_be_excluded() -> None:
    val = _build()
    assert val.exclude_images(frozenset("xyz")) is val
    remaining = val.exclude_images(frozenset("c"))
    assert remaining.image_ids.tolist() == ["d", "a"]
    assert remaining.responses.tolist() == [[1, 1]]


def test_the_contract_names_the_class_and_binds_its_sizes() -> None:
    contract, sizes = ARTIFACT_CONTRACTS["validation_set"], {"val": 3}
    contract.check_value("validation_set", _build(), sizes)
    assert sizes["interventions"] == 2
    with pytest.raises(ContractError, match="dimension 'val' is 3, expected 4"):
        contract.check_value("validation_set", _build(), {"val": 4})
    with pytest.raises(ContractError, match="got dict"):
        contract.check_value("validation_set", {}, {})


def test_predictions_for_unknown_labels_are_dropped() -> None:
    val = _build(predictions=PREDICTIONS.assign(label=["y", "z", "x"]))
    assert val.image_ids.tolist() == ["d", "c"]


def test_derived_values_follow_a_changed_field() -> None:
    val = _build()
    assert val.is_misclassified.any()
    assert not replace(val, predictions=val.labels).is_misclassified.any()
