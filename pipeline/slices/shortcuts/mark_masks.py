"""Pixel masks of marks and objects: found, measured on a grid of cells, and pasted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.slices.finder_constants import CONSTANTS

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def build_center_mask(image_side: int) -> Mask:
    """Return the central quarter of an image, where no mark is proposed, bool [side, side].

    >>> build_center_mask(4).astype(int).tolist()
    [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    position = np.arange(image_side)
    border = image_side // 4
    is_central = (position >= border) & (position < image_side - border)
    return np.asarray(is_central[:, None] & is_central[None, :])


def assign_cells(image_side: int, grid_size: int) -> NDArray[np.intp]:
    """Return the cell of each pixel in a square grid, int [side, side], counted by row.

    >>> assign_cells(4, 2).tolist()
    [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    """
    position = np.arange(image_side) * grid_size // image_side
    return np.asarray(position[:, None] * grid_size + position[None, :], dtype=np.intp)


def find_shared_pixels(class_images: Pixels, other_images: Pixels) -> Mask:
    """Return the pixels that most images of a class share and other classes do not.

    Args:
        class_images: images of the class, uint8 [n, side, side, 3].
        other_images: images of other classes, uint8 [m, side, side, 3].

    Returns:
        bool [side, side], never in the center; nothing if less than
        `ShortcutConstants.min_mark_share` of the image is shared.
    """
    constants = CONSTANTS.shortcuts
    class_median = np.median(class_images, axis=0)
    deviation = np.median(np.abs(class_images - class_median), axis=0)
    is_constant = (deviation <= constants.same_gray_tolerance).all(axis=-1)
    difference = np.abs(class_median - np.median(other_images, axis=0))
    is_distinct = (difference >= constants.other_gray_distance).any(axis=-1)
    shared = is_constant & is_distinct & ~build_center_mask(class_images.shape[1])
    if shared.mean() < constants.min_mark_share:
        shared = np.zeros_like(shared)
    return np.asarray(shared, dtype=bool)


def find_mark_mask(class_images: Pixels, other_images: Pixels) -> Mask:
    """Return the shared pixels of a class with a rim, and with compact components filled.

    A component that takes most of its bounding box is filled: letters that are cut out along their
    strokes can still be read. A border takes little of its box and stays a border.

    Args:
        class_images: images of the class, uint8 [n, side, side, 3].
        other_images: images of other classes, uint8 [m, side, side, 3].

    Returns:
        bool [side, side], never in the center.
    """
    constants = CONSTANTS.shortcuts
    shared = find_shared_pixels(class_images, other_images)
    mask = ndimage.binary_dilation(shared, iterations=constants.mark_rim_pixels)
    components, _ = ndimage.label(mask)
    for number, box in enumerate(ndimage.find_objects(components), 1):
        if (components[box] == number).mean() >= constants.filled_box_share:
            mask[box] = True
    return np.asarray(mask & ~build_center_mask(class_images.shape[1]), dtype=bool)


def find_object_mask(changed_shares: NDArray[np.float64], mark: Mask, grid_size: int) -> Mask:
    """Return the quarter of the image outside the mark whose covering changes most predictions.

    Args:
        changed_shares: share of predictions that covering each cell changes, [cells].
        mark: pixels of the mark, bool [side, side].
        grid_size: cells on each side of the image.

    Returns:
        bool [side, side], whole cells; the center if the mark touches every cell.
    """
    cells = assign_cells(len(mark), grid_size)
    cell_count = grid_size * grid_size
    free = np.setdiff1d(np.arange(cell_count), cells[mark])
    if not len(free):
        return build_center_mask(len(mark)) & ~mark
    object_size = max(1, cell_count // CONSTANTS.shortcuts.object_share_divisor)
    ordered = free[np.argsort(-changed_shares[free], kind="stable")]
    return np.asarray(np.isin(cells, ordered[:object_size]))


def paste_pixels(images: Pixels, donors: Pixels, mask: Mask) -> Pixels:
    """Return copies of images with the masked pixels of donors.

    Args:
        images: uint8 [n, side, side, 3].
        donors: uint8 [n, side, side, 3].
        mask: pixels to take from the donors, bool [side, side].
    """
    pasted = images.copy()
    pasted[:, mask] = donors[:, mask]
    return pasted
