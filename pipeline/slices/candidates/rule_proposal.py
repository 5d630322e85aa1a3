"""Proposals on some folds of the validation set: readable rules that gather recoverable errors.

One search has several targets:
- all errors in excess of their class;
- what one intervention repairs in excess of equally unsure images;
- the errors of one component of an error-aware mixture;
- errors near to each other in frozen features.

A proposal is the condition, or the pair, that gathers most of a target. Its score counts errors
that could be recovered, whatever its target was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np

from pipeline.domain.rules import Condition, Rule
from pipeline.slices.candidates.condition_search import ConditionSearch
from pipeline.slices.candidates.proposal_evidence import ProposalEvidence, ProposedRule, score_rule
from pipeline.slices.candidates.rule_selection import select_distinct_rules
from pipeline.slices.finder_constants import CONSTANTS


def propose_from_repairs(
    evidence: ProposalEvidence, search: ConditionSearch
) -> Iterator[ProposedRule]:
    """Yield the rules under which an intervention repairs most in excess of equally unsure images.

    An intervention that only breaks less here than elsewhere repairs nothing: the score is at most
    its plain gain.
    """
    for column, target in enumerate(evidence.repair_residuals.T):
        gains = evidence.repair_gains[:, column]
        for proposal in search.find_best_rules(
            target, "repair", CONSTANTS.candidates.repair_conditions
        ):
            rescored = score_rule(evidence, proposal.rule, proposal.mask, target)
            plain_gain = float(gains[proposal.mask].sum())
            yield replace(rescored, score=min(rescored.score, plain_gain))


def propose_from_mixture(
    evidence: ProposalEvidence, search: ConditionSearch
) -> Iterator[ProposedRule]:
    """Yield rules for the failures that one mixture component gathers in excess of their class."""
    counts = np.bincount(evidence.class_codes)
    for responsibility in evidence.responsibilities.T:
        failures = (evidence.is_misclassified * responsibility).sum()
        if failures < CONSTANTS.candidates.min_target_failures:
            continue
        losses = evidence.error_losses * responsibility
        class_means = np.bincount(evidence.class_codes, losses) / counts
        yield from search.find_best_rules(
            losses - class_means[evidence.class_codes],
            "mixture",
            CONSTANTS.candidates.mixture_conditions,
        )


def propose_from_features(evidence: ProposalEvidence) -> Iterator[ProposedRule]:
    """Yield the rules "looks like image X" with the radius that gathers most excess error."""
    for image_id, distances in zip(
        evidence.prototype_ids, evidence.prototype_distances, strict=True
    ):
        order = np.argsort(distances, kind="stable")
        max_size = int(CONSTANTS.candidates.max_similarity_share * len(order))
        gathered = np.cumsum(evidence.excess_losses[order])[:max_size]
        size = int(np.argmax(gathered)) + 1 if len(gathered) else 0
        if size < evidence.min_images:
            continue
        radius = distances[order[size - 1]]
        rule = Rule((Condition(image_id, "near", float(radius)),), source="frozen features")
        proposal = score_rule(evidence, rule, np.asarray(distances <= radius))
        weighted = proposal.score * CONSTANTS.candidates.similarity_rule_weight
        yield replace(proposal, score=weighted)


def propose_by_class(evidence: ProposalEvidence, search: ConditionSearch) -> Iterator[ProposedRule]:
    """Yield rules for one class each, for the classes with most failures."""
    constants = CONSTANTS.candidates
    failures = evidence.frame.loc[evidence.is_misclassified, "label"].value_counts()
    for label, count in failures.iloc[: constants.max_searched_classes].items():
        if count >= constants.min_target_failures:
            yield from search.find_best_rules(
                evidence.excess_losses, "class", constants.class_conditions, label=str(label)
            )


def propose_rules(
    evidence: ProposalEvidence, *, max_rules: int = 8, fixed_proposals: Iterable[ProposedRule] = ()
) -> list[ProposedRule]:
    """Return the best distinct proposals of all sources; none if nothing fails.

    Args:
        evidence: the images of the proposing folds.
        max_rules: most proposals.
        fixed_proposals: proposals that compete without a search.
    """
    if not evidence.is_misclassified.any():
        return []
    search = ConditionSearch.from_evidence(evidence)
    proposals = [
        *search.find_best_rules(
            evidence.excess_losses, "attributes", CONSTANTS.candidates.attribute_conditions
        ),
        *propose_from_repairs(evidence, search),
        *propose_from_mixture(evidence, search),
        *propose_from_features(evidence),
        *fixed_proposals,
        *propose_by_class(evidence, search),
    ]
    promising = [proposal for proposal in proposals if proposal.score > 0]
    return list(islice(select_distinct_rules(promising, evidence), max_rules))
