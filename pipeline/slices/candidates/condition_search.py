"""The search for rules that gather a target: single conditions, and pairs of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.attribute_values import get_period
from pipeline.domain.rules import Condition, Mask, Rule
from pipeline.slices.candidates.proposal_evidence import (
    Floats,
    ProposalEvidence,
    ProposedRule,
    score_rule,
    sum_target_by_mask,
)
from pipeline.slices.finder_constants import CONSTANTS

HOURS_PER_CIRCLE = 24
# Conditions of a rule, the images that meet all of them, and the score of these.
_ScoredConditions = tuple[tuple[Condition, ...], Mask, float]


def _generate_arcs(column: str, period: float) -> Iterator[Condition]:
    step = period / HOURS_PER_CIRCLE
    for hours in CONSTANTS.candidates.arc_hours:
        length = hours * period / HOURS_PER_CIRCLE
        for start in np.arange(0, period, step):
            yield Condition(column, "between", (start, (start + length) % period))


def _generate_thresholds(column: str, values: pd.Series) -> Iterator[Condition]:
    tails = CONSTANTS.candidates.tail_quantiles
    quantiles = sorted({*tails, *(1 - tail for tail in tails)})
    thresholds = np.nanquantile(values.to_numpy(dtype=float, na_value=np.nan), quantiles)
    pairs = list(zip(quantiles, thresholds.tolist(), strict=True))
    for quantile, threshold in pairs:
        if quantile <= 0.5:
            yield Condition(column, "<=", threshold)
    for quantile, threshold in pairs:
        if quantile >= 0.5:
            yield Condition(column, ">=", threshold)


def generate_conditions(frame: pd.DataFrame) -> Iterator[Condition]:
    """Yield every condition that a rule may be built from.

    Args:
        frame: `image_id`, `label`, `group`, then the columns that a rule may test.
    """
    for name in frame.columns[3:]:
        column = frame[name]
        period = get_period(name)
        is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        if period:
            yield from _generate_arcs(name, period)
        elif is_number and column.nunique() > CONSTANTS.candidates.max_code_values:
            yield from _generate_thresholds(name, column)
        else:
            for value in sorted(column.dropna().astype("str").unique()):
                yield Condition(name, "is", str(value))


@dataclass(frozen=True)
class ConditionSearch:
    """Every usable condition of the evidence, scored against any target.

    Attributes:
        evidence: the images of the proposing folds.
        conditions: conditions that admit neither too few nor too many of them.
        masks: bool [conditions, n].
    """

    evidence: ProposalEvidence
    conditions: list[Condition]
    masks: NDArray[np.bool_]

    @classmethod
    def from_evidence(cls, evidence: ProposalEvidence) -> ConditionSearch:
        """Return the search over all conditions of the evidence."""
        conditions = list(generate_conditions(evidence.frame))
        masks = np.zeros((len(conditions), len(evidence.frame)), bool)
        for row, condition in enumerate(conditions):
            masks[row] = condition.compute_mask(evidence.frame, {})
        counts = masks.sum(1)
        most_images = CONSTANTS.candidates.max_condition_share * masks.shape[1]
        usable = np.flatnonzero((counts >= evidence.min_images) & (counts <= most_images))
        return cls(evidence, [conditions[row] for row in usable], masks[usable])

    def find_best_rules(
        self, target: Floats, source: str, max_conditions: int, label: str | None = None
    ) -> list[ProposedRule]:
        """Return the rules that gather most of a target, scored against all errors.

        They are the best single conditions, and pairs of the best half of these with another one.

        Args:
            target: float64 [n].
            source: name of the source of proposals.
            max_conditions: number of single conditions.
            label: class of the rules; None for rules about every class.
        """
        if not len(self.masks):
            return []
        class_mask = np.ones(len(target), bool)
        if label is not None:
            class_mask = np.asarray(self.evidence.frame["label"] == label)
        residual = target * class_mask
        gathered, standard_errors = sum_target_by_mask(
            self.masks, residual, self.evidence.group_codes
        )
        scores = gathered - standard_errors
        order = np.argsort(-scores, kind="stable")
        first = [int(index) for index in order[:max_conditions]]
        if source == "repair":
            first = self._tighten_conditions(first, residual)
        partner_count = CONSTANTS.candidates.pair_partner_factor * max_conditions
        proposals: list[_ScoredConditions] = []
        for index in first:
            condition = self.conditions[index]
            proposals.append(((condition,), self.masks[index], float(scores[index])))
        for index in first[: max_conditions // 2]:
            pair = self._find_best_partner(index, order[:partner_count], residual, scores[index])
            if pair and (pair[1] & class_mask).sum() >= self.evidence.min_images:
                proposals.append(pair)
        rules = []
        for conditions, mask, score in proposals:
            admitted = mask & class_mask
            if score > 0 and admitted.sum() >= self.evidence.min_images:
                rule = Rule(conditions, label, source)
                rules.append(score_rule(self.evidence, rule, admitted))
        return rules

    def _find_best_partner(
        self, first: int, partners: NDArray[np.intp], residual: Floats, first_score: float
    ) -> _ScoredConditions | None:
        """Return the best pair with a condition on another column, its mask and its score.

        None if no pair raises the score enough.
        """
        first_condition = self.conditions[first]
        others = [k for k in partners if self.conditions[k].column != first_condition.column]
        if not others:
            return None
        pair_masks = self.masks[first] & self.masks[others]
        gathered, standard_errors = sum_target_by_mask(
            pair_masks, residual, self.evidence.group_codes
        )
        scores = gathered - standard_errors
        best = int(np.argmax(scores))
        # a longer rule must earn its second condition
        if not scores[best] > CONSTANTS.candidates.pair_score_factor * max(first_score, 0.0):
            return None
        conditions = (first_condition, self.conditions[others[best]])
        return conditions, pair_masks[best], float(scores[best])

    def _tighten_conditions(self, indices: list[int], residual: Floats) -> list[int]:
        """Return each condition's tightest equivalent, without repetitions.

        Only repaired failures count: correct images that an intervention spares raise a score too,
        but no failure of theirs is repaired.
        """
        repaired = np.where(self.evidence.is_misclassified, residual, 0).clip(0)
        repaired_by_condition = self.masks @ repaired
        tight = [self._find_tightest_condition(i, repaired_by_condition) for i in indices]
        return list(dict.fromkeys(tight))

    def _find_tightest_condition(self, index: int, repaired_by_condition: Floats) -> int:
        """Return the condition with fewest images among tighter thresholds that gather as much.

        The images that it leaves out fail no more than elsewhere, and would blur the rule.
        """
        least = CONSTANTS.candidates.tied_score_share * repaired_by_condition[index]
        key = self.conditions[index].key
        tied = []
        for other, condition in enumerate(self.conditions):
            is_tighter = not (self.masks[other] & ~self.masks[index]).any()
            if condition.key == key and repaired_by_condition[other] >= least and is_tighter:
                tied.append(other)
        return min(tied, key=lambda i: int(self.masks[i].sum()), default=index)
