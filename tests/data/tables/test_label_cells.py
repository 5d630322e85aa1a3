"""Labels in cells: pipeline/data/tables/label_cells.py."""

from __future__ import annotations

import pytest

from pipeline.data.tables.label_cells import read_box_classes, read_label_cells


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["a", "b", "a|b"], [["a"], ["b"], ["a", "b"]]),
        (["a|", "b", "b|a|"], [["a"], ["b"], ["b", "a"]]),
        (["scab", "rust", "rust scab"], [["scab"], ["rust"], ["rust", "scab"]]),
        (["a", "b", "a, b"], [["a"], ["b"], ["a", "b"]]),
        (["['a', 'b']", '["a"]', "[]"], [["a", "b"], ["a"], []]),
        ([["a", "b"], ["a"], []], [["a", "b"], ["a"], []]),
        (['{"choices": ["a", "b"]}', "a"], [["a", "b"], ["a"]]),
    ],
)
def test_several_labels_are_found_in_every_form(
    values: list[object], labels: list[list[str]]
) -> None:
    assert read_label_cells(values) == labels


def test_few_tags_in_many_combinations_are_several_labels() -> None:
    """No tag stands alone, as in satellite images that have a weather and land uses."""
    cells = ["clear road", "clear water", "haze road", "haze road water", "clear road water"]
    cells += ["haze water", "clear road water farm", "haze farm", "clear farm"]
    assert {len(labels) for labels in read_label_cells(cells)} == {2, 3, 4}


@pytest.mark.parametrize(
    "classes",
    [
        ["golden retriever", "labrador retriever", "tabby cat"],
        ["No Finding", "Mass", "Pleural Effusion"],
        ["Pneumonia/Viral/COVID-19", "Pneumonia", "No Finding"],
        ["Audi A4 2010", "Audi A4", "BMW X5 2011"],
        ["red apple", "green apple", "red pepper", "green pepper"],
        ["Animalia|Chordata|Aves", "Animalia|Chordata|Mammalia", "Plantae|Rosales"],
        ["(a", "b)", "{x", "1 2 3 4"],
        ["7", "8"],
    ],
)
def test_names_of_classes_stay_whole(classes: list[str]) -> None:
    assert read_label_cells(classes) == [[name] for name in classes]


def test_a_class_with_boxes_is_the_class() -> None:
    cells = ["n01 1 2 3 4 n01 5 6 7 8", "n02 1 2 3.5 4 ", None, "n01 1 2 3 4 n02 1 2 3 4"]
    assert read_box_classes(cells) == ["n01", "n02", None, ("n01", "n02")]
    for other in (["1 2 3 4 5", "6 7 8 9 10"], ["n01", "n02"], ["n01 1 2 3"], [1, 2], [None]):
        assert read_box_classes(other) == other


def test_parts_left_out_in_between_are_several_labels() -> None:
    cells = ["clear primary", "clear road primary", "haze primary", "haze water primary", "cloudy"]
    assert read_label_cells(cells)[1] == ["clear", "road", "primary"]
    longer = ["tabby cat", "orange tabby cat", "Audi A4", "Audi A4 2010"]
    assert read_label_cells(longer) == [[name] for name in longer]
