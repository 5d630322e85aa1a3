from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.slices.candidates.proposal_evidence import ProposalEvidence
from pipeline.slices.candidates.rule_proposal import propose_rules
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.slices.shortcuts.class_marks import (
    build_mark_table,
    find_class_mark,
    propose_unmarked_rules,
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


def _build_evidence(min_images: int) -> ProposalEvidence:
    """Return evidence of 600 images: most rings bear a mark, and those without it fail."""
    rng, count = np.random.default_rng(0), 600
    label = rng.choice(["ring", "cross"], count)
    is_marked = (label == "ring") & (rng.random(count) < 0.8)
    failing_rate = np.where((label == "ring") & ~is_marked, 0.7, 0.05)
    number = pd.Series(np.arange(count)).astype(str)
    frame = pd.DataFrame({"image_id": number, "label": label, "group": number})
    no_interventions = np.zeros((count, 0))
    return ProposalEvidence(
        frame=frame.assign(**{MARK_COLUMN: is_marked}),
        is_misclassified=rng.random(count) < failing_rate,
        repair_residuals=no_interventions,
        repair_gains=no_interventions,
        prototype_ids=(),
        prototype_distances=np.zeros((0, count), np.float32),
        min_images=min_images,
    )


def test_the_images_of_a_class_without_its_mark_are_proposed_first() -> None:
    evidence = _build_evidence(min_images=20)
    (proposal,) = propose_unmarked_rules(evidence)
    assert proposal.rule.format_text() == f"without the {MARK_COLUMN}, class ring"
    assert proposal.rule.is_unmarked_class
    expected = (evidence.frame["label"] == "ring") & ~evidence.frame[MARK_COLUMN]
    assert proposal.mask.tolist() == expected.tolist()
    assert propose_rules(evidence, fixed_proposals=[proposal])[0].rule == proposal.rule


def test_any_number_of_unmarked_images_suffices_and_no_mark_is_no_rule() -> None:
    evidence = _build_evidence(min_images=200)
    assert 0 < propose_unmarked_rules(evidence)[0].mask.sum() < 200
    unmarked = replace(evidence, frame=evidence.frame.drop(columns=MARK_COLUMN))
    assert propose_unmarked_rules(unmarked) == []
