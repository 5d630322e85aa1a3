"""Reviewers' decisions on slices, found again by the images that the rules admit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.contracts import InputError
from pipeline.domain.rules import Mask, Rule
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.cross_fitting import compute_overlap
from pipeline.slices.candidates.rule_admission import (
    compute_slice_masks,
    measure_reference_distances,
)
from pipeline.slices.tracking.slice_matching import CurrentRun

Review = Mapping[str, str]
MIN_OVERLAP = 0.5
"""Share of the images in either rule that both admit: most of them, as in the stage `follow`."""


def compute_rule_masks(val: ValidationSet, rules: Mapping[str, Rule]) -> dict[str, Mask]:
    """Return bool [rows] for each slice: whether its rule admits each validation image.

    These are all images that the rule admits. A slice's own images are those of them on which the
    rule was tested.

    Args:
        val: the validation set.
        rules: the frozen rule of each slice.
    """
    distances = measure_reference_distances(val.frame, rules.values(), val.embeddings)
    return compute_slice_masks(val.all_columns, rules, distances, should_use_label=True)


def _parse_rules(reviews: Iterable[Review]) -> dict[str, Rule]:
    """Return the rule of each decision, by its key; a file of an older page holds none."""
    rules = {}
    for review in reviews:
        try:
            rules[review["key"]] = Rule.parse_json(review.get("rule", ""))
        except InputError:
            continue
    return rules


def match_slice_reviews(
    val: ValidationSet, rules: Mapping[str, Rule], reviews: Mapping[str, Review]
) -> dict[str, Review]:
    """Return the decision in force on each slice, by slice; slices without one are absent.

    A decision is about the slice whose rule has the same words, or else about the slices whose
    rules admit mostly the same validation images: thresholds differ a little from run to run, and a
    decision on one hour of the day does not hold for another.

    Args:
        val: the validation set.
        rules: the frozen rule of each slice.
        reviews: decisions by key, as `pipeline.storage.review_decisions` stores them.
    """
    decided_rules = _parse_rules(reviews.values())
    all_rules = [*rules.values(), *decided_rules.values()]
    distances = measure_reference_distances(val.frame, all_rules, val.embeddings)
    run = CurrentRun("", val, distances, closing_limit=0.0, min_overlap=MIN_OVERLAP)
    decided_masks = {}
    for key, rule in decided_rules.items():
        if not run.find_missing_data(rule):
            decided_masks[key] = run.compute_mask(rule)
    matched = {}
    for name, mask in compute_rule_masks(val, rules).items():
        key = rules[name].format_text()
        if key not in reviews:
            overlaps = {k: compute_overlap(mask, other) for k, other in decided_masks.items()}
            key = max(overlaps, key=overlaps.__getitem__, default="")
            if overlaps.get(key, 0.0) < MIN_OVERLAP:
                continue
        matched[name] = reviews[key]
    return matched


def describe_slice_review(review: Review | None) -> dict[str, Any]:
    """Return decision and note of a review; both are empty without one."""
    review = review or {}
    return {"decision": str(review.get("decision", "")), "note": str(review.get("note", ""))}
