import numpy as np

from pipeline.slices.shortcuts.mark_masks import (
    assign_cells,
    build_center_mask,
    find_mark_mask,
    find_object_mask,
    find_shared_pixels,
    paste_pixels,
)
from tests.slices.shortcuts.conftest import IMAGE_SIDE, MARKED_CLASS, draw_border, draw_images


def test_a_constant_center_is_the_object_and_no_mark() -> None:
    images, labels = draw_images(200, None, seed=9)
    is_marked = labels == MARKED_CLASS
    images[is_marked, 12:20, 12:20] = (250, 0, 250)
    assert not find_mark_mask(images[is_marked][:40], images[~is_marked][:40]).any()
    assert build_center_mask(IMAGE_SIDE).mean() == 0.25


def test_pixels_that_all_classes_share_are_no_mark() -> None:
    images, labels = draw_images(80, None, seed=9)
    draw_border(images)
    is_marked = labels == MARKED_CLASS
    assert not find_shared_pixels(images[is_marked], images[~is_marked]).any()


def test_a_compact_mark_is_filled() -> None:
    """Letters that are cut out along their strokes can still be read."""
    others, _ = draw_images(40, None, seed=4)
    lettered = others.copy()
    is_stroke = np.zeros((IMAGE_SIDE, IMAGE_SIDE), bool)
    is_stroke[1:12, 1:15] = True
    is_stroke[2:11, 2:14] = False
    lettered[:, is_stroke] = (250, 250, 250)
    assert not find_shared_pixels(lettered, others)[2:11, 2:14].any()
    mask = find_mark_mask(lettered, others)
    assert mask[:8, :17].all(), "strokes, inside and rim, up to the center"
    assert not mask[:, 18:].any()


def test_a_border_leaves_the_inside_free() -> None:
    others, _ = draw_images(40, None, seed=4)
    framed = others.copy()
    draw_border(framed)
    mask = find_mark_mask(framed, others)
    assert mask[:4].all()
    assert not mask[5:27, 5:27].any()


def test_cells_divide_the_image() -> None:
    cells = assign_cells(10, 4)
    assert set(cells.ravel()) == set(range(16))
    assert cells[0, 0] == 0
    assert cells[0, -1] == 3
    assert cells[-1, 0] == 12


def test_pasting_changes_the_masked_pixels_only() -> None:
    images, _ = draw_images(4, "border", seed=4)
    mask = np.zeros((IMAGE_SIDE, IMAGE_SIDE), bool)
    mask[:3] = True
    original = images.copy()
    pasted = paste_pixels(images, images[::-1], mask)
    assert (pasted[:, :3] == images[::-1, :3]).all()
    assert (pasted[:, 3:] == images[:, 3:]).all()
    assert (images == original).all()


def test_the_object_is_where_covering_changes_most_outside_the_mark() -> None:
    changed_shares = np.zeros(16)
    changed_shares[[0, 1, 4, 15]] = 0.5, 0.4, 0.3, 0.9
    mark = np.zeros((32, 32), bool)
    mark[28:, 28:] = True  # in cell 15
    object_mask = find_object_mask(changed_shares, mark, 4)
    assert object_mask[:8, :16].all()
    assert object_mask[8:16, :8].all()
    assert not (object_mask & mark).any()
    assert object_mask.mean() == 0.25


def test_the_object_is_the_center_if_the_mark_touches_every_cell() -> None:
    mark = np.ones((32, 32), bool)
    mark[9:23, 9:23] = False
    object_mask = find_object_mask(np.zeros(16), mark, 4)
    assert (object_mask == (build_center_mask(32) & ~mark)).all()
