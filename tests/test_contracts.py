from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import (
    ArrayContract,
    ContractError,
    FolderContract,
    ObjectContract,
    RecordContract,
    TableContract,
)

TABLE = TableContract(
    {"image_id": "str", "size": "int", "label": "str?"},
    key_columns=("image_id",),
    row_dimension="images",
)
GOOD = pd.DataFrame({"image_id": ["a", "b"], "size": [1, 2], "label": ["x", None]})


def test_a_table_binds_the_row_count_of_the_arrays() -> None:
    dimensions: dict[str, int] = {}
    TABLE.check_value("images", GOOD, dimensions)
    ArrayContract("uint8", ("images", 3)).check_value(
        "pixels", np.zeros((2, 3), np.uint8), dimensions
    )
    with pytest.raises(ContractError, match="pixels: dimension 'images' is 3, expected 2"):
        ArrayContract("uint8", ("images", 3)).check_value(
            "pixels", np.zeros((3, 3), np.uint8), dimensions
        )


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (GOOD.drop(columns="size"), "missing columns \\['size'\\]"),
        (GOOD.assign(more=1), "surplus columns \\['more'\\]"),
        (GOOD.assign(size=["1", "2"]), "size: dtype .* expected int"),
        (GOOD.assign(image_id=["a", "a"]), "repeat the key"),
        (GOOD.assign(image_id=["a", None]), "image_id: has nulls"),
    ],
)
def test_a_broken_table_names_the_column(broken: pd.DataFrame, words: str) -> None:
    with pytest.raises(ContractError, match=f"images.*{words}"):
        TABLE.check_value("images", broken, {})


def test_an_empty_table_is_valid() -> None:
    TABLE.check_value("images", GOOD.iloc[:0], {})


@pytest.mark.parametrize(
    "value", [np.zeros((2, 4), np.uint8), np.zeros((2, 3), np.int8), np.zeros(2, np.uint8)]
)
def test_an_array_of_another_shape_or_dtype_is_refused(value: np.ndarray) -> None:
    with pytest.raises(ContractError):
        ArrayContract("uint8", ("images", 3)).check_value("pixels", value, {})


@pytest.mark.parametrize(
    "value", [{}, [], {"n": float("nan")}, {"n": [1, {"m": float("inf")}]}, {"n": {1: 2}}]
)
def test_a_record_without_its_keys_or_with_values_outside_json_is_refused(value: object) -> None:
    with pytest.raises(ContractError):
        RecordContract(("n",)).check_value("metrics", value, {})


def test_a_folder_must_hold_its_files(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"a\.json"):
        FolderContract(("a.json",)).check_value("model", tmp_path, {})
    (tmp_path / "a.json").write_text("{}")
    FolderContract(("a.json",)).check_value("model", tmp_path, {})


def test_an_object_must_be_of_its_class_and_size() -> None:
    contract = ObjectContract("pathlib.PurePosixPath", {"letters": "length"})

    class Sized(PurePosixPath):
        length = 2

    dimensions: dict[str, int] = {}
    contract.check_value("place", Sized("ab"), dimensions)
    assert dimensions == {"letters": 2}
    with pytest.raises(ContractError, match="place: dimension 'letters' is 2, expected 3"):
        contract.check_value("place", Sized("ab"), {"letters": 3})
    with pytest.raises(ContractError, match=r"place: expected pathlib\.PurePosixPath, got str"):
        contract.check_value("place", "ab", {})
