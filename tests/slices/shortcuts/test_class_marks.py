"""Marks planted on one class, as in the tests of shortcuts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.slices.candidates.rule_proposal import ProposalEvidence, propose_rules
from pipeline.slices.shortcuts.class_marks import (
    build_mark_table,
    find_class_mark,
    propose_unmarked_rules,
)
from tests.slices.shortcuts.test_shortcut_detection import MARKED, MARKS, NAMES, _drawn, _scene

COLUMN = f"mark of {NAMES[MARKED]}"


@pytest.mark.parametrize("kind", MARKS)
def test_who_bears_a_mark_is_told_on_images_it_was_not_read_from(kind: str) -> None:
    mark = find_class_mark(_scene(kind), MARKED, 0)
    assert mark is not None
    images, truth = _drawn(200, kind, seed=9)
    plain, _ = _drawn(200, None, seed=9)
    bears = (images != plain).any((1, 2, 3))
    assert (bears != (truth == MARKED)).sum() > 0, "some of the class lack it"
    assert (mark.is_borne_by(images) == bears).mean() > 0.99
    assert not mark.is_borne_by(plain).any()


def test_nothing_shared_or_too_few_groups_is_no_mark() -> None:
    assert find_class_mark(_scene(None), MARKED, 0) is None
    assert find_class_mark(_scene("logo", groups=9), MARKED, 0) is None


def test_the_artifact_has_a_column_for_each_class_with_a_mark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.slices.shortcuts.class_marks.CHUNK", 70)
    scene = _scene("caption")
    ids = pd.Series([f"i{k}" for k in range(len(scene.pixels))])
    part = replace(scene, rows=scene.rows[:200], truth=scene.labels[:200], group=scene.groups[:200])
    made = build_mark_table(part, NAMES, [NAMES[MARKED], "cross"], ids, 0)
    assert list(made) == ["image_id", COLUMN]
    assert (made[COLUMN] == (scene.labels == MARKED))[200:].mean() > 0.95, (
        "of images beyond the scene too"
    )
    assert list(build_mark_table(part, NAMES, [], ids, 0)) == ["image_id"]


def _evidence(least: int) -> ProposalEvidence:
    rng, n = np.random.default_rng(0), 600
    label = rng.choice(["ring", "cross"], n)
    bears = (label == "ring") & (rng.random(n) < 0.8)
    frame = pd.DataFrame(
        {"image_id": [f"i{k}" for k in range(n)], "label": label, "group": np.arange(n).astype(str)}
    )
    errors = np.where((label == "ring") & ~bears, rng.random(n) < 0.7, rng.random(n) < 0.05)
    empty = np.zeros((n, 0))
    return ProposalEvidence(
        frame.assign(**{COLUMN: bears}), errors, empty.astype(np.float32), empty, empty, (),
        np.zeros((0, n), np.float32), min_images=least,
    )  # fmt: skip


def test_the_images_of_a_class_without_its_mark_are_a_slice() -> None:
    evidence = _evidence(least=20)
    given = propose_unmarked_rules(evidence)
    assert [g.rule.format_text() for g in given] == [f"without the {COLUMN}, class ring"]
    assert given[0].rule.is_unmarked_class
    assert (
        given[0].mask.tolist()
        == ((evidence.frame["label"] == "ring") & ~evidence.frame[COLUMN]).tolist()
    )
    assert propose_rules(evidence, fixed_proposals=given)[0].rule == given[0].rule
    assert propose_unmarked_rules(_evidence(least=200))[0].mask.sum() < 200, (
        "not searched for, so not too few"
    )
    assert (
        propose_unmarked_rules(replace(evidence, frame=evidence.frame.drop(columns=COLUMN))) == []
    )
