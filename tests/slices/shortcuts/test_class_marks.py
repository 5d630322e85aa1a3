from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.slices.finder_constants import CONSTANTS
from pipeline.slices.shortcuts.class_marks import (
    build_mark_table,
    find_class_mark,
    list_unmarked_rules,
)
from tests.slices.shortcuts.conftest import (
    CLASS_NAMES,
    MARKED_CLASS,
    MARKS,
    build_shortcut_images,
    draw_images,
)

MARK_COLUMN = f"mark of {CLASS_NAMES[MARKED_CLASS]}"


@pytest.mark.parametrize("kind", MARKS)
def test_a_mark_is_recognized_on_new_images(kind: str) -> None:
    mark = find_class_mark(build_shortcut_images(kind), MARKED_CLASS, 0)
    assert mark is not None
    images, labels = draw_images(200, kind, seed=9)
    plain, _ = draw_images(200, None, seed=9)
    is_marked = (images != plain).any((1, 2, 3))
    assert (is_marked != (labels == MARKED_CLASS)).any(), "some of the class lack it"
    assert (mark.is_borne_by(images) == is_marked).mean() > 0.99
    assert not mark.is_borne_by(plain).any()


def test_no_shared_pixels_or_too_few_groups_are_no_mark() -> None:
    too_few = CONSTANTS.shortcuts.min_groups - 1
    assert find_class_mark(build_shortcut_images(None), MARKED_CLASS, 0) is None
    assert find_class_mark(build_shortcut_images("logo", too_few), MARKED_CLASS, 0) is None


def test_the_table_has_a_column_for_each_class_with_a_mark() -> None:
    """The images are more than one chunk, and most of them are no training images."""
    images = build_shortcut_images("caption")
    repeats = CONSTANTS.shortcuts.chunk_images // len(images.pixels) + 1
    pixels = np.concatenate([images.pixels] * repeats)
    ids = pd.Series(np.arange(len(pixels)).astype(str))
    training = replace(
        images,
        pixels=pixels,
        rows=images.rows[:200],
        labels=images.labels[:200],
        groups=images.groups[:200],
    )
    table = build_mark_table(training, CLASS_NAMES, [CLASS_NAMES[MARKED_CLASS], "cross"], ids, 0)
    assert list(table) == ["image_id", MARK_COLUMN]
    is_marked = table[MARK_COLUMN].to_numpy().reshape(repeats, -1)
    assert (is_marked == is_marked[0]).all(), "every copy in every chunk"
    assert (is_marked[0] == (images.labels == MARKED_CLASS))[200:].mean() > 0.95
    assert list(build_mark_table(training, CLASS_NAMES, [], ids, 0)) == ["image_id"]


def test_the_images_of_a_class_without_its_mark_are_a_rule() -> None:
    (rule,) = list_unmarked_rules(["luminance", MARK_COLUMN])
    assert rule.format_text() == f"without the {MARK_COLUMN}, class ring"
    assert rule.is_unmarked_class
    assert list_unmarked_rules(["luminance"]) == []
