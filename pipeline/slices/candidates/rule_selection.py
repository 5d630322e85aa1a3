"""The choice of distinct rules among proposals: the plainest of equal ones, and no parts of one."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.domain.rules import Mask
from pipeline.slices.candidates.proposal_evidence import ProposalEvidence, ProposedRule
from pipeline.slices.finder_constants import CONSTANTS


def select_distinct_rules(
    proposals: list[ProposedRule], evidence: ProposalEvidence
) -> Iterator[ProposedRule]:
    """Yield the best proposals, best first, each by its plainest rule.

    A proposal is left out if a better one has most of its errors: the same images by another rule,
    or a part of one cause (in one class, at one hour).
    """
    selected: list[ProposedRule] = []
    columns = list(evidence.frame.columns)
    for candidate in sorted(
        proposals, key=lambda p: (-p.score, len(p.rule.conditions), p.rule.key)
    ):
        if _is_covered_by_any(selected, candidate, evidence.is_misclassified):
            continue
        plainest = _choose_plainest(candidate, proposals, columns)
        selected.append(plainest)
        yield plainest


def _is_covered_by_any(
    better_rules: list[ProposedRule], candidate: ProposedRule, is_misclassified: Mask
) -> bool:
    return any(_is_covered(better, candidate, is_misclassified) for better in better_rules)


def _is_covered(better_rule: ProposedRule, candidate: ProposedRule, is_misclassified: Mask) -> bool:
    """Return whether two rules have mostly the same errors, or the better one holds the other's."""
    constants = CONSTANTS.candidates
    own_errors = candidate.mask & is_misclassified
    better_errors = better_rule.mask & is_misclassified
    shared_count = (own_errors & better_errors).sum()
    if shared_count > constants.max_error_overlap * (own_errors | better_errors).sum():
        return True
    if candidate.rule.label:
        return bool(shared_count > constants.class_contained_share * own_errors.sum())
    is_contained = shared_count > constants.contained_share * own_errors.sum()
    is_denser = candidate.density >= constants.density_factor * better_rule.density
    return bool(is_contained and not is_denser)


def _choose_plainest(
    candidate: ProposedRule, proposals: list[ProposedRule], columns: list[str]
) -> ProposedRule:
    """Return the plainest of the rules that are equivalent to a candidate.

    It has the fewest conditions, on the columns that come first. The
    attributes that a reader understands best are listed first, so collinear statistics do not win
    by a hair.
    """

    def rank_plainness(other: ProposedRule) -> tuple[int, int, float]:
        positions = []
        for condition in other.rule.conditions:
            is_known = condition.column in columns
            positions.append(columns.index(condition.column) if is_known else len(columns))
        return len(positions), max(positions), -other.score

    equivalent = [other for other in proposals if _is_equivalent(other, candidate)]
    return min(equivalent, key=rank_plainness)


def _is_equivalent(other: ProposedRule, candidate: ProposedRule) -> bool:
    """Return whether another rule admits mostly the same images, with nearly the same score."""
    shared_count = (candidate.mask & other.mask).sum()
    union_count = (candidate.mask | other.mask).sum()
    return bool(
        shared_count >= CONSTANTS.candidates.duplicate_overlap * union_count
        and other.rule.label == candidate.rule.label
        and other.score >= CONSTANTS.candidates.tied_score_share * candidate.score
    )
