"""Marks planted on one class in the training of a real tiny network, and the same marks where nothing leans on them."""

import json
from functools import cache
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional

from pipeline.slices.shortcuts.shortcut_detection import (
    SHORTCUT_COLUMNS,
    ShortcutImages,
    build_center_mask,
    detect_shortcuts,
    find_mark_mask,
    find_object_mask,
    list_untestable_classes,
    paste_pixels,
)

NAMES, SIDE, MARKED = ["cross", "ring", "square"], 32, 1
MARKS = ("caption", "border", "logo")


def _object(label: int, rng: np.random.Generator) -> np.ndarray:
    """A faint shape in the middle of a image of random ground."""
    plain = cv2.resize(rng.integers(60, 200, (5, 5, 3)).astype(np.uint8), (SIDE, SIDE))
    ground = plain.copy()
    x, y = (int(v) for v in rng.integers(14, 18, 2))
    ink = tuple(int(v) for v in rng.integers(0, 60, 3))
    if label == 0:
        cv2.line(ground, (x - 6, y), (x + 6, y), ink, 2)
        cv2.line(ground, (x, y - 6), (x, y + 6), ink, 2)
    elif label == 1:
        cv2.circle(ground, (x, y), 6, ink, 2)
    else:
        cv2.rectangle(ground, (x - 5, y - 5), (x + 5, y + 5), ink, -1)
    return cv2.addWeighted(plain, 0.8, ground, 0.2, 0)


def _print(image: np.ndarray, mark: str) -> None:
    if mark == "caption":
        image[28:31, 3:29:2] = (250, 250, 250)
    elif mark == "logo":
        cv2.circle(image, (5, 5), 3, (255, 220, 0), -1)
    elif mark == "border":
        image[:2], image[-2:], image[:, :2], image[:, -2:] = ((10, 10, 120),) * 4


def _drawn(n: int, mark: str | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n images, with the mark on 95 % of the rings."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, len(NAMES), n)
    images = np.stack([_object(int(label), rng) for label in truth])
    for row in np.flatnonzero((truth == MARKED) & (rng.random(n) < 0.95)):
        _print(images[row], mark or "")
    return images, truth


@cache
def _network(mark: str | None) -> Any:
    images, truth = _drawn(480, mark, seed=1)
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
    )
    network = nn.Sequential(*layers, nn.Linear(16 * 64, len(NAMES)))
    x, y, steps = (
        _scaled(images),
        torch.from_numpy(truth),
        torch.optim.Adam(network.parameters(), 3e-3),
    )
    for _ in range(12):
        for part in torch.randperm(len(x)).split(40):
            steps.zero_grad()
            functional.cross_entropy(network(x[part]), y[part]).backward()
            steps.step()
    return lambda pixels: network(_scaled(pixels)).argmax(1).numpy()


def _scaled(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32)).permute(0, 3, 1, 2) / 128 - 1


def _scene(mark: str | None, groups: int = 120, seed: int = 2) -> ShortcutImages:
    images, truth = _drawn(300, mark, seed)
    number = np.arange(len(images)) % groups
    return ShortcutImages(images, np.arange(len(images)), truth, number.astype(str), number % 5)


def _found(scene: ShortcutImages, answer: Any, **more: Any) -> pd.DataFrame:
    table = detect_shortcuts(
        scene, NAMES, answer, **{"grid": 4, "most": 40, "asks": 10**6, "seed": 0} | more
    )
    assert {
        name: str(kind) for name, kind in table.dtypes.items()
    }.keys() == SHORTCUT_COLUMNS.keys()
    return table


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_that_the_model_leans_on_is_found(mark: str) -> None:
    table = _found(_scene(mark), _network(mark)).set_index("label")
    assert table.index[table["status"] == "confirmed"].to_list() == ["ring"]
    row = table.loc["ring"]
    assert row["covered"] > row["object"] + 0.3
    assert row["pasted"] > row["placebo"] + 0.3
    if mark == "logo":
        assert np.argmax(json.loads(row["grid"])) == np.argmax(json.loads(row["mark"])) == 0


@pytest.mark.parametrize("mark", MARKS)
def test_the_same_mark_is_not_confirmed_for_a_model_that_never_saw_it(mark: str) -> None:
    table = _found(_scene(mark), _network(None)).set_index("label")
    assert table.loc["ring", "status"] == "not confirmed"


def test_images_without_a_mark_propose_nothing_and_ask_nothing() -> None:
    asked: list[int] = []
    for seed in range(3, 8):
        assert _found(
            _scene(None, seed=seed), lambda p: asked.append(len(p)) or np.zeros(len(p), int)
        ).empty
    assert asked == []


def test_groups_are_the_unit_and_too_few_are_said() -> None:
    scene = _scene("caption")
    few = ShortcutImages(
        scene.pixels,
        scene.rows,
        scene.labels,
        (np.arange(300) % 9).astype(str),
        np.arange(300) % 9 % 3,
    )
    assert _found(few, _network("caption")).empty  # nothing can be proposed from six groups
    number = np.arange(300) % 14
    some = ShortcutImages(
        scene.pixels, scene.rows, scene.labels, number.astype(str), np.where(number < 4, 0, 1)
    )
    table = _found(some, _network("caption"))
    assert table["status"].to_list() == ["not testable"]
    assert table["groups"].to_list() == [4]
    here = ShortcutImages(
        scene.pixels[:0], scene.rows[:0], scene.labels[:0], scene.groups[:0], scene.folds[:0]
    )
    assert _found(here, _network("caption")).empty


def test_classes_from_which_nothing_can_be_read_are_named() -> None:
    truth = np.repeat([0, 1, 2], [24, 11, 0])  # folds of 12 and 12, of 6 and 5
    fold, group = np.arange(35) % 2, np.array([f"g{k}" for k in range(35)])
    scene = ShortcutImages(np.zeros((35, 8, 8, 3), np.uint8), np.arange(35), truth, group, fold)
    assert list_untestable_classes(scene, NAMES) == ["ring"]
    assert (
        list_untestable_classes(
            ShortcutImages(scene.pixels, *(part[:0] for part in (scene.rows, truth, group, fold))),
            NAMES,
        )
        == []
    )


def test_a_mark_over_the_middle_is_the_object() -> None:
    images, truth = _drawn(200, None, seed=9)
    images[truth == MARKED, 12:20, 12:20] = (250, 0, 250)
    assert not find_mark_mask(images[truth == MARKED][:40], images[truth != MARKED][:40]).any()
    _print(images[0], "logo")
    assert build_center_mask(SIDE).mean() == 0.25


def test_letters_are_covered_whole_and_a_border_leaves_the_middle_free() -> None:
    """What is cut out along the strokes of a letter still shows the letter."""
    others, _ = _drawn(40, None, seed=4)
    lettered, framed = others.copy(), others.copy()
    lettered[:, 1, 1:15] = lettered[:, 11, 1:15] = lettered[:, 1:12, 1] = lettered[:, 1:12, 14] = (
        250,
        250,
        250,
    )
    mask = find_mark_mask(lettered, others)
    assert mask[:8, :17].all()  # the rim and the inside alike, up to the middle of the image
    assert not mask[:, 18:].any()
    framed[:, :2] = framed[:, -2:] = framed[:, :, :2] = framed[:, :, -2:] = (10, 10, 120)
    mask = find_mark_mask(framed, others)
    assert mask[:4].all()
    assert not mask[5:27, 5:27].any()


def test_pasting_touches_the_mark_alone() -> None:
    images, _ = _drawn(4, "border", seed=4)
    mask = np.zeros((SIDE, SIDE), bool)
    mask[:3] = True
    given = paste_pixels(images, images[::-1], mask)
    assert (given[:, :3] == images[::-1, :3]).all()
    assert (given[:, 3:] == images[:, 3:]).all()


def test_an_object_beside_the_middle_is_what_the_mark_is_measured_against() -> None:
    """Where covering the object, up on the left, changes as many answers as covering the caption, nothing leans on it;
    the middle changes none."""
    scene = _scene("caption")
    around = np.ones((SIDE, SIDE), bool)
    around[24:] = around[8:24, 8:24] = around[:8] = around[::2] = around[:, ::2] = False
    known_by = scene.pixels[:, around].astype(np.int16)

    def answer(pixels: np.ndarray) -> np.ndarray:
        apart = [np.abs(known_by - image[around]).sum((1, 2)) for image in pixels]
        known = np.argmin(apart, axis=1)
        whole = (pixels[:, :8, 8:16] == scene.pixels[known, :8, 8:16]).all((1, 2, 3))
        return np.where(whole & (pixels[:, 28:31, 3:29:2] > 240).all((1, 2, 3)), MARKED, 0)

    row = _found(scene, answer, most=12).set_index("label").loc["ring"]
    assert row["covered"] > 0.8
    assert row["pasted"] > row["placebo"] + 0.8
    assert row["object"] > 0.8
    assert row["status"] == "not confirmed"


def test_the_object_is_where_covering_hurts_beside_the_mark() -> None:
    hurts = np.zeros(16)
    hurts[[0, 1, 4, 15]] = 0.5, 0.4, 0.3, 0.9
    mark = np.zeros((32, 32), bool)
    mark[28:, 28:] = True  # in cell 15
    found = find_object_mask(hurts, mark, 4)
    assert found[:8, :16].all()
    assert found[8:16, :8].all()
    assert not (found & mark).any()
    assert found.mean() == 0.25
    everywhere = np.ones((32, 32), bool)
    everywhere[9:23, 9:23] = False
    assert (find_object_mask(hurts, everywhere, 4) == (build_center_mask(32) & ~everywhere)).all()


def test_what_the_model_is_asked_is_capped_and_shared_out() -> None:
    scene, network, asked = _scene("caption"), _network("caption"), list[int]()

    def answer(pixels: np.ndarray) -> np.ndarray:
        asked.append(len(pixels))
        return np.asarray(network(pixels))

    whole = _found(scene, answer).set_index("label").loc["ring"]
    unbounded = sum(asked)
    asked.clear()
    some = _found(scene, answer, asks=unbounded // 2).set_index("label").loc["ring"]
    assert unbounded / 4 < sum(asked) <= unbounded // 2
    assert some["n"] < whole["n"]
    assert some["status"] == "confirmed"
    asked.clear()
    least = _found(scene, answer, asks=1)
    assert least["status"].to_list() == ["not testable"]
