"""One column for each class: pipeline/data/tables/class_columns.py."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.data.tables.class_columns import (
    convert_to_numbers,
    find_class_columns,
    read_class_columns,
    split_names,
    stack_numbers,
)


def _one_hot(row_count: int = 30, names: str = "abc") -> dict[str, list[str]]:
    return {
        name: [str(int(row % len(names) == place)) for row in range(row_count)]
        for place, name in enumerate(names)
    }


@pytest.mark.parametrize("form", ["{}", " {}", "{}.0"])
def test_exclusive_columns_are_found_beside_others(form: str) -> None:
    classes = {name: [form.format(v) for v in values] for name, values in _one_hot().items()}
    table = {
        "image": [f"{n}.jpg" for n in range(30)],
        "age": ["40"] * 30,
        **classes,
        "is_male": [str(n // 4 % 2) for n in range(30)],
    }
    found = find_class_columns(table, ["image"])
    assert found is not None
    assert found.names == ("a", "b", "c")
    assert found.is_exclusive


def test_words_and_minus_one_are_read_as_absent() -> None:
    words = {
        name: [{"1": "True", "0": "False"}[v] for v in values]
        for name, values in _one_hot().items()
    }
    minus = {
        name: [{"1": "1", "0": "-1"}[v] for v in values] for name, values in _one_hot().items()
    }
    for table in (words, minus):
        found = find_class_columns(table)
        assert found is not None
        assert found.names == ("a", "b", "c")


def test_the_largest_probability_is_the_class() -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([0.5] * 4, 40).round(2)
    table = {name: [str(v) for v in shares[:, place]] for place, name in enumerate("wxyz")}
    found = find_class_columns(table)
    assert found is not None
    assert found.names == tuple("wxyz")
    numbers = stack_numbers(table, found.names)
    assert numbers is not None
    labels = read_class_columns(numbers, found.names)
    clear = [row for row in range(40) if len(labels[row]) == 1]
    assert len(clear) > 30
    assert all(labels[row] == ["wxyz"[shares[row].argmax()]] for row in clear)


def test_equal_shares_of_a_sample_submission_are_no_labels() -> None:
    assert find_class_columns({name: ["0.25"] * 20 for name in "abcd"}) is None
    assert find_class_columns({"a": ["1"] * 20, "b": ["0"] * 20}) is None


def test_columns_that_are_not_exclusive_are_several_labels() -> None:
    rng = np.random.default_rng(0)
    table = {name: [str(v) for v in rng.integers(0, 2, 60)] for name in "abcd"}
    found = find_class_columns(table)
    assert found is not None
    assert not found.is_exclusive
    assert set(found.names) == set("abcd")


def test_two_blocks_of_equal_size_are_not_decided() -> None:
    sex = _one_hot(30, "mf")
    grade = {
        name: [str((row // 2 + place) % 2) for row in range(30)]
        for place, name in enumerate(("low", "high"))
    }
    assert find_class_columns({**sex, "age": ["40"] * 30, **grade}) is None


def test_rows_with_none_and_several_are_told() -> None:
    numbers = np.array([[1, 0], [0, 0], [1, 1], [np.nan, 1]])
    assert read_class_columns(numbers, ["a", "b"]) == [["a"], [], ["a", "b"], ["b"]]


def test_only_numbers_from_minus_one_to_one_are_classes() -> None:
    assert convert_to_numbers(["0", "2"]) is None
    assert convert_to_numbers(["cat"]) is None
    numbers = convert_to_numbers(["", None, "nan", "yes"])
    assert numbers is not None
    assert np.isnan(numbers[:3]).all()


def test_a_setting_names_columns_only_if_all_exist() -> None:
    assert split_names("a, b", {"a": [], "b": []}) == ("a", "b")
    assert split_names("a, c", {"a": [], "b": []}) == ()
    assert split_names("a, b", {"a, b": [], "a": [], "b": []}) == ()
