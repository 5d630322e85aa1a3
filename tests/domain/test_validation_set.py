from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import ContractError, InputError
from pipeline.domain.validation_set import ProbeMeasurements, ValidationSet, build_validation_set
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.storage.artifact_store import RunFolder
from tests.helpers.validation_sets import make_validation_set

FRAME = pd.DataFrame(
    {"image_id": list("abcd"), "label": ["x", "y", "x", "y"], "group": list("1122")}
)
OTHER = pd.DataFrame({"camera": ["n", "n", "s", "n"]})
SPLITS = pd.DataFrame(
    {"image_id": list("abcd"), "split": ["val", "train", "val", "val"], "fold": [0, -1, 1, 2]}
)
PREDICTIONS = pd.DataFrame(
    {
        "image_id": list("dac"), "label": ["y", "x", "x"], "predicted": ["x", "x", "y"], "confidence": [0.5, 0.9, 0.7],
        "margin": [-1.0, 2.0, -3.0], "logit_0": [2.0, 3.0, 0.0], "logit_1": [1.0, 1.0, 3.0],
    }
)  # fmt: skip
PROBE = ProbeMeasurements(
    ["c", "d"], np.array([1.0, 2.0]), np.array([[0.5, 0.25], [1.0, 2.0]], np.float32),
    np.array([[0, 1], [1, 1]], np.int16),
)  # fmt: skip


def _build(issues: str = "", **changed: Any) -> ValidationSet:
    given: dict[str, Any] = {
        "splits": SPLITS,
        "classes": {"names": ["x", "y"]},
        "predictions": PREDICTIONS,
        "embeddings": np.arange(8, dtype=np.float32).reshape(4, 2),
        "metrics": {},
        "label_issues": pd.DataFrame({"image_id": pd.Series(list(issues), dtype="str")}),
    }
    return build_validation_set((FRAME, OTHER), PROBE, **(given | changed))


def test_everything_is_laid_over_the_same_rows() -> None:
    val = _build()
    assert val.frame["image_id"].tolist() == ["d", "a", "c"]
    assert val.all_columns["camera"].tolist() == ["n", "n", "s"]
    assert val.image_rows.tolist() == [3, 0, 2]
    assert val.embeddings[:, 0].tolist() == [6, 0, 4]
    assert val.folds.tolist() == [2, 0, 1]
    assert val.is_misclassified.tolist() == [True, False, True]
    assert val.probed_rows.tolist() == [2, 0]
    assert val.probe_results.after.tolist() == [[True, False], [True, True]]
    assert val.probe_results.change.tolist() == [[1, 0], [1, 1]]
    assert val.probe_results.margin.tolist() == [-3.0, -1.0]
    assert val.row_signatures[[2, 0]].tolist() == PROBE.signatures.tolist()
    assert np.isnan(val.row_signatures[1]).all()
    assert val.probabilities.argmax(1).tolist() == val.predictions.tolist()


def test_images_whose_label_is_in_doubt_are_kept_apart_from_failures() -> None:
    val = _build("c")
    assert val.has_label_issue.tolist() == [False, False, True]
    trusted = val.without_label_issues()
    assert trusted.frame["image_id"].tolist() == ["d", "a"]
    assert trusted.probed_rows.tolist() == [0]
    assert trusted.responses.tolist() == [[1, 1]]
    assert trusted.probe_weights.tolist() == [2.0]
    assert trusted.is_misclassified.tolist() == [True, False]


def test_what_an_intervention_saves_is_the_cost_of_the_error() -> None:
    assert _build().saved_costs.tolist() == [[1.0, 0.0], [1.0, 1.0]]
    cheap = _build(metrics={"costs": [[0.0, 0.25], [1.0, 0.0]]})
    assert cheap.error_losses.tolist() == [1.0, 0.0, 0.25]
    assert cheap.saved_costs.tolist() == [[0.25, 0.0], [1.0, 1.0]]


def test_a_slice_weighs_as_much_as_its_errors_cost() -> None:
    membership = pd.DataFrame({"image_id": ["c", "a"], "slice": "s1"})
    cheap = _build(metrics={"costs": [[0.0, 0.25], [1.0, 0.0]]})
    assert cheap.find_members("s1", membership).tolist() == [False, True, True]
    assert cheap.weigh_slice("s1", 2, membership) == 0.5
    assert cheap.weigh_slice("unknown", 2, membership) == 2.0


def _assert_equal(one: ValidationSet, other: ValidationSet) -> None:
    for name, value in vars(one).items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(value, getattr(other, name))
        else:
            np.testing.assert_array_equal(value, getattr(other, name))


@pytest.mark.parametrize("costs", [None, [[0.0, 0.25], [1.0, 0.0]]])
def test_a_run_gives_back_what_was_saved(tmp_path: Path, costs: Any) -> None:
    made, run = _build("c", metrics={"costs": costs}), RunFolder.open_or_create(tmp_path / "r")
    folder = run.get_artifact_path("validation_set")
    folder.parent.mkdir()
    made.save(folder)
    loaded = run.load_artifact("validation_set")
    _assert_equal(made, loaded)
    (folder / "logits.npy").write_bytes(b"cut short")
    with pytest.raises(InputError, match="cannot be read"):
        run.load_artifact("validation_set")


def test_large_arrays_are_memory_mapped(tmp_path: Path) -> None:
    n = 3000
    frame = pd.DataFrame({"image_id": [f"i{k}" for k in range(n)], "label": "a", "group": "g"})
    zeros = np.zeros(n, np.intp)
    make_validation_set(frame, zeros, zeros, embeddings=np.ones((n, 128), np.float32)).save(
        tmp_path / "set"
    )
    loaded = ValidationSet.load(tmp_path / "set")
    assert isinstance(loaded.embeddings, np.memmap)
    assert not isinstance(loaded.labels, np.memmap)
    assert loaded.select_rows(np.arange(n) < 5).embeddings.shape == (5, 128)


def test_images_can_be_erased_from_it() -> None:
    val = _build()
    assert val.without_images(frozenset("xyz")) is val
    erased = val.without_images(frozenset("c"))
    assert erased.frame["image_id"].tolist() == ["d", "a"]
    assert erased.signatures.tolist() == [[1.0, 2.0]]


def test_the_contract_names_the_class_and_binds_its_sizes() -> None:
    contract, dims = ARTIFACT_CONTRACTS["validation_set"], {"val": 3}
    contract.check_value("validation_set", _build(), dims)
    assert dims["interventions"] == 2
    with pytest.raises(ContractError, match="dimension 'val' is 3, expected 4"):
        contract.check_value("validation_set", _build(), {"val": 4})
    with pytest.raises(ContractError, match="ValidationSet was promised, got dict"):
        contract.check_value("validation_set", {}, {})


def test_predictions_for_unknown_labels_are_dropped() -> None:
    table = PREDICTIONS.assign(label=["y", "z", "x"])
    probe_of_all = _build(predictions=table)
    assert probe_of_all.frame["image_id"].tolist() == ["d", "c"]


def test_changed_labels_change_what_follows_from_them() -> None:
    val = _build()
    assert not replace(val, predictions=val.labels).is_misclassified.any()
