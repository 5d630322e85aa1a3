from itertools import chain

import numpy as np

from pipeline.report.figures.matrix_cells import (
    KEPT_CLASS_COUNT,
    MAX_WHOLE_CLASSES,
    build_cells,
    build_change_cells,
    count_moves,
    find_most_confused,
    merge_other_classes,
    select_confused_classes,
)


def make_counts(size: int, errors: dict[tuple[int, int], int]) -> np.ndarray:
    counts = np.diag(np.full(size, 10))
    for cell, n in errors.items():
        counts[cell] = n
    return counts


def test_all_of_a_few_classes_are_shown() -> None:
    counts = make_counts(MAX_WHOLE_CLASSES, {})
    assert select_confused_classes([counts]) == list(range(MAX_WHOLE_CLASSES))


def test_of_many_classes_the_most_confused_are_kept_and_the_rest_is_merged() -> None:
    counts = make_counts(43, {(40, 41): 9, (3, 40): 5})
    kept = select_confused_classes([counts, make_counts(43, {(42, 0): 1})])
    assert len(kept) == KEPT_CLASS_COUNT
    assert {3, 40, 41, 42, 0} <= set(kept)
    merged = merge_other_classes(counts, kept)
    assert merged.shape == (KEPT_CLASS_COUNT + 1, KEPT_CLASS_COUNT + 1)
    assert merged.sum() == counts.sum()
    assert merged[kept.index(40), kept.index(41)] == 9


def test_colors_separate_correct_from_wrong_and_better_from_worse() -> None:
    before, after = np.array([[8, 2], [5, 5]]), np.array([[9, 1], [6, 4]])
    cells = list(chain(*build_cells(before, False)))
    assert [cell.css_class[:5] for cell in cells] == ["right", "wrong", "wrong", "right"]
    moves = np.ones((2, 2), np.int64)
    changes = list(chain(*build_change_cells(before, after, moves, False)))
    assert [cell.image_count for cell in changes] == [1, -1, 1, -1]
    assert [cell.css_class[:5] for cell in changes] == ["right", "right", "wrong", "wrong"]


def test_a_larger_share_has_a_deeper_color() -> None:
    (row, _) = build_cells(np.array([[96, 4], [0, 1]]), False)
    assert [cell.css_class for cell in row] == ["right4", "wrong2"]


def test_the_cell_of_all_other_classes_is_neither_correct_nor_wrong() -> None:
    assert build_cells(np.array([[1, 0], [0, 7]]), True)[1][1].css_class == "mixed"


def test_an_empty_row_has_no_share() -> None:
    assert build_cells(np.array([[0, 0], [1, 1]]), False)[0][0].share is None


def test_moves_count_images_that_entered_or_left_a_cell() -> None:
    moves = count_moves([0, 0, 1], [0, 1, 1], [1, 0, 1], [0, 1], 2)
    assert moves.tolist() == [[2, 2], [0, 0]]


def test_the_most_confused_class_of_each_class() -> None:
    assert find_most_confused(np.array([[5, 1, 3], [0, 4, 0], [1, 0, 0]])) == [2, None, 0]
