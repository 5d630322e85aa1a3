from dataclasses import replace

import numpy as np
from scipy import sparse

from pipeline.domain.rules import Rule
from pipeline.slices.family.candidate_family import build_candidate_family, count_candidate_groups
from tests.slices.conftest import Draw


def test_every_mask_is_what_its_rule_admits(draw: Draw) -> None:
    val = draw(0).val
    noise = np.random.default_rng(0).normal(size=(val.image_count, 8))
    val = replace(val, embeddings=noise.astype(np.float32))
    family = build_candidate_family(val, 20, 0)
    seen = set()
    for candidate in range(0, len(family.parts), 7):
        rule = family.build_rule(candidate)
        seen.add((len(rule.conditions), rule.label is None, rule.has_similarity_condition))
        admitted = rule.compute_mask(val.frame, family.reference_distances)
        assert family.get_mask(candidate).tolist() == admitted.tolist()
        assert Rule.parse_json(rule.dump_json()) == rule
    assert {(1, True, False), (1, False, False), (2, True, False), (1, False, True)} <= seen


def test_no_two_candidates_admit_the_same_images_and_none_has_few_groups(draw: Draw) -> None:
    val = draw(0).val
    family = build_candidate_family(val, 20, 0)
    dense = family.masks.toarray() > 0
    assert len(np.unique(np.packbits(dense, axis=1), axis=0)) == len(dense)
    groups = np.unique(val.groups, return_inverse=True)[1]
    assert min(len(np.unique(groups[mask])) for mask in dense) >= 6
    assert family.sizes.tolist() == dense.sum(1).tolist()


def test_outcomes_change_no_candidate(draw: Draw) -> None:
    val = draw(0).val
    family = build_candidate_family(val, 20, 0)
    other = build_candidate_family(replace(val, predictions=1 - val.predictions), 20, 0)
    assert (family.parts == other.parts).all()
    assert (family.masks != other.masks).nnz == 0


def test_of_equal_candidates_metadata_stays(draw: Draw) -> None:
    planted = draw(0)
    frame = planted.val.frame.assign(camera=np.where(planted.dark, "cam3", "cam1"))
    frame["luminance"] = np.where(planted.dark, 10.0, 100.0) + np.arange(len(frame)) * 1e-3
    family = build_candidate_family(replace(planted.val, frame=frame), 20, 0)
    same = [
        family.build_rule(row).format_text()
        for row in range(len(family.parts))
        if family.get_mask(row).tolist() == planted.dark.tolist()
    ]
    assert same == ["camera is cam3"]


def test_images_without_a_mark_are_a_candidate_however_few(draw: Draw) -> None:
    val = draw(0).val
    first_groups = np.unique(val.groups[val.labels == 0])[:8]
    is_marked = (val.labels == 0) & ~np.isin(val.groups, first_groups)
    frame = val.frame.assign(**{"mark of a": is_marked})
    family = build_candidate_family(replace(val, frame=frame), 200, 0)
    rules = [family.build_rule(row) for row in range(len(family.parts))]
    (unmarked,) = [rule for rule in rules if rule.is_unmarked_class]
    assert unmarked.source == "mark"


def test_nothing_to_test_makes_an_empty_family(draw: Draw) -> None:
    val = draw(0).val
    bare = replace(val, frame=val.frame[["image_id", "label", "group"]])
    family = build_candidate_family(bare, 20, 0)
    assert (len(family.parts), family.masks.shape) == (0, (0, val.image_count))


def test_groups_of_candidates_are_counted_once() -> None:
    masks = sparse.csr_array(np.array([[1, 1, 0, 1], [0, 0, 1, 0]], dtype=np.float32))
    assert count_candidate_groups(masks, np.array([0, 0, 1, 2])).tolist() == [2, 1]
    assert count_candidate_groups(masks, np.arange(4)).tolist() == [3, 1]
