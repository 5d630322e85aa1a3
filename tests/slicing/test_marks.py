"""Marks planted on one class, as in the tests of shortcuts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.slicing.marks import mark_from, marks_of, unmarked
from pipeline.slicing.propose import Evidence, propose
from tests.slicing.test_shortcuts import MARKED, MARKS, NAMES, _drawn, _scene

COLUMN = f"mark of {NAMES[MARKED]}"


@pytest.mark.parametrize("kind", MARKS)
def test_who_bears_a_mark_is_told_on_photos_it_was_not_read_from(kind: str) -> None:
    mark = mark_from(_scene(kind), MARKED, 0)
    assert mark is not None
    photos, truth = _drawn(200, kind, seed=9)
    plain, _ = _drawn(200, None, seed=9)
    bears = (photos != plain).any((1, 2, 3))
    assert (bears != (truth == MARKED)).sum() > 0, "some of the class lack it"
    assert (mark.borne(photos) == bears).mean() > 0.99
    assert not mark.borne(plain).any()


def test_nothing_shared_or_too_few_groups_is_no_mark() -> None:
    assert mark_from(_scene(None), MARKED, 0) is None
    assert mark_from(_scene("logo", groups=9), MARKED, 0) is None


def test_the_artifact_has_a_column_for_each_class_with_a_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.slicing.marks.CHUNK", 70)
    scene = _scene("caption")
    ids = pd.Series([f"i{k}" for k in range(len(scene.pixels))])
    part = replace(scene, rows=scene.rows[:200], truth=scene.truth[:200], group=scene.group[:200])
    made = marks_of(part, NAMES, [NAMES[MARKED], "cross"], ids, 0)
    assert list(made) == ["image_id", COLUMN]
    assert (made[COLUMN] == (scene.truth == MARKED))[200:].mean() > 0.95, "of photos beyond the scene too"
    assert list(marks_of(part, NAMES, [], ids, 0)) == ["image_id"]


def _evidence(least: int) -> Evidence:
    rng, n = np.random.default_rng(0), 600
    label = rng.choice(["ring", "cross"], n)
    bears = (label == "ring") & (rng.random(n) < 0.8)
    frame = pd.DataFrame({"image_id": [f"i{k}" for k in range(n)], "label": label, "group": np.arange(n).astype(str)})
    errors = np.where((label == "ring") & ~bears, rng.random(n) < 0.7, rng.random(n) < 0.05)
    empty = np.zeros((n, 0))
    return Evidence(
        frame.assign(**{COLUMN: bears}), errors, empty.astype(np.float32), empty, empty, (),
        np.zeros((0, n), np.float32), least=least,
    )  # fmt: skip


def test_the_photos_of_a_class_without_its_mark_are_a_slice() -> None:
    evidence = _evidence(least=20)
    given = unmarked(evidence)
    assert [g.rule.words() for g in given] == [f"without the {COLUMN}, class ring"]
    assert given[0].rule.unmarked
    assert given[0].mask.tolist() == ((evidence.frame["label"] == "ring") & ~evidence.frame[COLUMN]).tolist()
    assert propose(evidence, given=given)[0].rule == given[0].rule
    assert unmarked(_evidence(least=200))[0].mask.sum() < 200, "not searched for, so not too few"
    assert unmarked(replace(evidence, frame=evidence.frame.drop(columns=COLUMN))) == []
