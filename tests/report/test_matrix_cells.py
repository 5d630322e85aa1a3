import numpy as np

from pipeline.report import matrix_cells as m


def counts(size: int, errors: dict[tuple[int, int], int]) -> np.ndarray:
    table = np.diag(np.full(size, 10))
    for cell, n in errors.items():
        table[cell] = n
    return table


def test_up_to_thirty_classes_are_all_shown() -> None:
    assert m.select_confused_classes([counts(30, {})]) == list(range(30))


def test_of_many_classes_the_most_confused_stay_and_the_rest_is_summed_up() -> None:
    table = counts(43, {(40, 41): 9, (3, 40): 5})
    shown = m.select_confused_classes([table, counts(43, {(42, 0): 1})])
    assert len(shown) == m.KEPT_CLASS_COUNT
    assert {3, 40, 41, 42, 0} <= set(shown)
    folded = m.merge_other_classes(table, shown)
    assert folded.shape == (m.KEPT_CLASS_COUNT + 1, m.KEPT_CLASS_COUNT + 1)
    assert folded.sum() == table.sum()
    assert folded[shown.index(40), shown.index(41)] == 9


def test_tones_tell_right_from_wrong_and_better_from_worse() -> None:
    before, after = np.array([[8, 2], [5, 5]]), np.array([[9, 1], [6, 4]])
    cells = m.build_cells(before, False)
    assert [c.tone[:5] for row in cells for c in row] == ["right", "wrong", "wrong", "right"]
    change = m.build_change_cells(before, after, np.ones((2, 2), np.int64), False)
    assert [[c.n for c in row] for row in change] == [[1, -1], [1, -1]]
    assert [c.tone[:5] for row in change for c in row] == ["right", "right", "wrong", "wrong"]


def test_the_cell_of_all_others_is_neither_right_nor_wrong() -> None:
    assert m.build_cells(np.array([[1, 0], [0, 7]]), True)[1][1].tone == "mixed"


def test_an_empty_row_has_no_share() -> None:
    assert m.build_cells(np.array([[0, 0], [1, 1]]), False)[0][0].share is None


def test_moves_count_images_that_came_or_went() -> None:
    moved = m.count_moves([0, 0, 1], [0, 1, 1], [1, 0, 1], [0, 1], 2)
    assert moved.tolist() == [[2, 2], [0, 0]]


def test_most_confused() -> None:
    assert m.find_most_confused(np.array([[5, 1, 3], [0, 4, 0], [1, 0, 0]])) == [2, None, 0]
