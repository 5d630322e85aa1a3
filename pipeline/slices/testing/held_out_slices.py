"""Slices on the halves of the validation images that did not choose their rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import Mask, Rule, iterate_rows
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.cross_fitting import assign_halves
from pipeline.slices.candidates.typicality import select_core_images
from pipeline.slices.testing.slice_confirmation import SliceEvidence, run_effect_test
from pipeline.statistics.permutation_tests import estimate_excess_error


@dataclass(frozen=True)
class HeldOutSlice:
    """A slice with the images that the rule of each half admits on the other half.

    Attributes:
        name: name of the slice.
        rank: position among the proposed slices, from 1.
        rule_for_half: by half (0 or 1), the rule that is applied to it.
        frozen_half: the half whose rule is in force outside the validation images.
        family_p: family-wise p-value of the slice over all of validation.
        is_member: bool [rows], whether the rule of its half admits an image.
        is_typical: bool [rows], members that the cause is matched on.
        intervention_columns: intp [rows], column of the intervention that the rule of the half
            chose; -1 for none.
    """

    name: str
    rank: int
    rule_for_half: dict[int, Rule]
    frozen_half: int
    family_p: float
    is_member: Mask
    is_typical: Mask
    intervention_columns: NDArray[np.intp]

    @property
    def label(self) -> str | None:
        """Return the class that all rules are limited to, or None."""
        return next(iter(self.rule_for_half.values())).label

    @property
    def tested_columns(self) -> set[str]:
        """Return the columns that the rules test."""
        columns: set[str] = set()
        for rule in self.rule_for_half.values():
            columns.update(condition.column for condition in rule.conditions)
        return columns

    @property
    def final_rule(self) -> Rule:
        """Return the rule in force outside the validation images."""
        return self.rule_for_half[self.frozen_half]

    def list_applied_rules(self, row_halves: NDArray[np.intp]) -> list[dict[str, Any]]:
        """Return the number of images that each rule admitted, by half.

        Args:
            row_halves: half of each row, 0 or 1.

        Returns:
            rule (in numbers), half and count of each half with a rule.
        """
        applied = []
        for half, rule in sorted(self.rule_for_half.items()):
            count = int((self.is_member & (row_halves == half)).sum())
            applied.append({"rule": rule.format_text(), "half": half, "count": count})
        return applied


def load_held_out_slices(
    val: ValidationSet, slices: pd.DataFrame, membership: pd.DataFrame, interventions: pd.DataFrame
) -> list[HeldOutSlice]:
    """Return the proposed slices in the order of `slices`.

    Args:
        val: the validation set.
        slices: the artifact of that name, as the next argument.
        membership: images that the rules admit, with their scores.
        interventions: `remedy` and `strength` of each probed intervention.
    """
    halves = assign_halves(val.folds)
    half_of_fold = dict(zip(val.folds.tolist(), halves.tolist(), strict=True))
    column_of = {}
    for column, row in enumerate(iterate_rows(interventions)):
        column_of[row.remedy, row.strength] = column
    loaded = []
    for name, table in slices.groupby("slice", sort=False):
        rules = {}
        column_of_half = {}
        for row in iterate_rows(table):
            half = half_of_fold[int(row.fold)]
            rules[half] = Rule.parse_json(row.rule)
            column_of_half[half] = column_of.get((row.remedy, row.strength), -1)
        score_of = membership[membership["slice"] == name].set_index("image_id")["score"]
        scores = val.frame["image_id"].map(score_of).fillna(-np.inf).to_numpy(dtype=float)
        columns = [column_of_half.get(int(half), -1) for half in halves]
        loaded.append(
            HeldOutSlice(
                name=str(name),
                rank=int(table["rank"].iloc[0]),
                rule_for_half=rules,
                frozen_half=half_of_fold[int(table.loc[table["is_frozen"], "fold"].iloc[0])],
                family_p=float(table["family_p"].iloc[0]),
                is_member=np.isfinite(scores),
                is_typical=select_core_images(scores, halves),
                intervention_columns=np.array(columns, dtype=np.intp),
            )
        )
    return loaded


def collect_slice_evidence(val: ValidationSet, held_out: HeldOutSlice, seed: int) -> SliceEvidence:
    """Return both tests of a slice, each image under the rule of its half.

    Args:
        val: the validation set.
        held_out: the slice.
        seed: seed of the permutations.
    """
    excess = estimate_excess_error(
        val.error_losses, val.labels, held_out.is_member, val.groups, seed=seed
    )
    is_compared = np.ones(val.image_count, bool)
    if held_out.label is not None:
        # only with images of the class: an intervention that turns every prediction into this
        # class repairs all of it, inside and outside the slice
        is_compared = np.asarray(val.frame["label"] == held_out.label)
    columns = np.where(is_compared, held_out.intervention_columns, -1)
    effect = run_effect_test(
        val.probe_results, columns[val.probed_rows], held_out.is_member[val.probed_rows], seed
    )
    return SliceEvidence(excess, effect)
