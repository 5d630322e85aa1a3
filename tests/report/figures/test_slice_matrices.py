"""Confusion matrices of one slice: pipeline/report/figures/slice_matrices.py."""

from __future__ import annotations

from pipeline.report.figures.matrix_cells import OTHER_CLASS_NAME
from pipeline.report.figures.slice_matrices import (
    MAX_SHOWN_CLASSES,
    build_slice_matrices,
    list_paying_classes,
)
from pipeline.report.report_page import ReportPage
from tests.factory import planted
from tests.report.conftest import build_page


def count_images(page: ReportPage, name: str) -> list[int]:
    views = build_slice_matrices(page, name).views
    return [sum(cell.image_count for row in rows for cell in row) for _, rows in views]


def test_both_matrices_hold_every_image_of_the_slice(page: ReportPage) -> None:
    members = len(page.slice_members["s1"])
    assert count_images(page, "s1") == [members, members]
    matrices = build_slice_matrices(page, "s1")
    assert matrices.names == page.class_names
    before = matrices.views[0][1]
    right = sum(before[k][k].image_count for k in range(len(before)))
    assert right == members - page.is_misclassified[page.slice_members["s1"]].sum()


def test_of_many_classes_the_most_confused_are_shown_and_none_is_lost() -> None:
    page = build_page(planted(43, 900))
    matrices = build_slice_matrices(page, "s1")
    assert matrices.names[-1] == OTHER_CLASS_NAME
    assert len(matrices.names) == MAX_SHOWN_CLASSES + 1
    assert set(count_images(page, "s1")) == {len(page.slice_members["s1"])}


def test_only_harmed_classes_of_the_slice_pay() -> None:
    row = {"kind": "slice class", "slice": "s1", "status": "harmed"}
    others = [row | {"slice": "s2"}, row | {"status": "uncertain"}, row | {"kind": "class"}]
    assert list_paying_classes([*others, row], "s1") == [row]
