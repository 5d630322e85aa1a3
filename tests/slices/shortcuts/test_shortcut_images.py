import numpy as np

from pipeline.slices.shortcuts.shortcut_images import ShortcutImages


def _build_images(groups: list[str]) -> ShortcutImages:
    count = len(groups)
    pixels = np.arange(2 * count, dtype=np.uint8).reshape(-1, 1, 1, 1).repeat(3, axis=3)
    rows = np.arange(count) * 2
    zeros = np.zeros(count, np.intp)
    return ShortcutImages(pixels, rows, zeros, np.array(groups), zeros)


def test_positions_are_read_through_their_rows() -> None:
    images = _build_images(["a", "b", "c"])
    assert images.get_images(np.array([2, 0]))[:, 0, 0, 0].tolist() == [4, 0]


def test_a_sample_of_distinct_groups_has_one_image_each() -> None:
    images = _build_images(["a"] * 20 + ["b"] * 5 + ["c"])
    positions = np.arange(26)
    sample = images.sample_distinct_groups(positions, 10, np.random.default_rng(0))
    assert sorted(images.groups[sample]) == ["a", "b", "c"]
    assert len(images.sample_distinct_groups(positions, 2, np.random.default_rng(0))) == 2
    only_a = images.sample_distinct_groups(positions[:20], 10, np.random.default_rng(0))
    assert images.groups[only_a].tolist() == ["a"]
