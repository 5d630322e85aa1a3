"""What all labeled batches of arriving images show of a challenger, whenever one looks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.statistics.arrivals.arrival_batch import ArrivalBatch, ClassSums
from pipeline.statistics.arrivals.arriving_evidence import ArrivingEvidence
from pipeline.statistics.gains.harm_assessment import DEFAULT_HARM_MARGINS, HarmMargins
from pipeline.statistics.gains.loss_probabilities import moderate_variances, pool_changes

REPEATED_LOOK_SHARE = 0.5
"""Part of the accepted probability of a loss that counts where one looks again every night: some
night shows a class that pays as harmless."""


@dataclass(frozen=True)
class ArrivalVerdict:
    """The evidence of groups that arrived after the challenger was trained.

    Attributes:
        batches: labeled batches.
        labels: labels that came back.
        groups: new groups, each counted once.
        inside_groups: those with an image inside the planned slices.
        gain: mean gain of these groups there; None without such groups.
        evidence_gain: e-value against "no gain inside the planned slices".
        evidence_safe: e-value against "worse overall by the margin or more".
        needed: e-value that shows it, one over the level.
        parts: for each class, and each class inside the slices, change and probability of a loss.
        max_loss_probability: probability of a loss that is accepted.
    """

    batches: int
    labels: int
    groups: int
    inside_groups: int
    gain: float | None
    evidence_gain: float
    evidence_safe: float
    needed: float
    parts: list[dict[str, Any]]
    max_loss_probability: float

    @property
    def harmed(self) -> list[dict[str, Any]]:
        """Return the parts that probably lose more than their margin."""
        return [p for p in self.parts if p["loss_probability"] > self.max_loss_probability]

    def build_record(self) -> dict[str, Any]:
        """Return the verdict as finite JSON."""
        return {**vars(self), "harmed": self.harmed}


def judge_arrivals(
    batches: Sequence[ArrivalBatch],
    alpha: float,
    known_groups: Collection[str] = (),
    margins: HarmMargins = DEFAULT_HARM_MARGINS,
) -> ArrivalVerdict:
    """Return what the batches show, in the order of their arrival.

    Each group is one bet, whatever its number of images. A group that is known already, or that an
    earlier batch held, adds nothing. One may look after every batch: without a gain the evidence
    ever exceeds 1 / alpha with a probability of at most alpha.

    Args:
        batches: the batches, oldest first.
        alpha: level of the test.
        known_groups: groups that trained or judged the challenger before.
        margins: losses that do not count as worse.
    """
    better, safe = ArrivingEvidence(), ArrivingEvidence()
    seen, gains = set(known_groups), []
    groups = 0
    for batch in batches:
        rows = zip(batch.groups, batch.inside, batch.overall, strict=True)
        for name, inside, overall in rows:
            if name in seen:
                continue
            seen.add(name)
            groups += 1
            # against a mean of minus the margin, in the scale of the batch
            safe.add_group(min(overall + margins.overall * batch.overall_scale, 1.0))
            if inside is not None:
                better.add_group(inside)
                gains.append(inside / batch.inside_scale)
    return ArrivalVerdict(
        len(batches),
        sum(batch.labels for batch in batches),
        groups,
        len(gains),
        float(np.mean(gains)) if gains else None,
        better.e_value,
        safe.e_value,
        1 / alpha,
        _judge_classes([item for batch in batches for item in batch.classes], margins),
        REPEATED_LOOK_SHARE * margins.max_loss_probability,
    )


def _judge_classes(sums: Sequence[ClassSums], margins: HarmMargins) -> list[dict[str, Any]]:
    """Return change and probability of a loss by class, and by class inside the slices."""
    parts = []
    for is_inside in (False, True):
        by_class: dict[str, list[ClassSums]] = {}
        for item in sums:
            if item.is_inside == is_inside:
                by_class.setdefault(item.class_name, []).append(item)
        parts += _pool_classes(by_class, is_inside, margins)
    return parts


def _pool_classes(
    by_class: dict[str, list[ClassSums]], is_inside: bool, margins: HarmMargins
) -> list[dict[str, Any]]:
    if not by_class:
        return []
    images = np.array([sum(item.images for item in items) for items in by_class.values()])
    changes = np.array([sum(item.change for item in items) for items in by_class.values()])
    squares = np.array([sum(item.squares for item in items) for items in by_class.values()])
    groups = np.array([float(sum(item.groups for item in items)) for items in by_class.values()])
    means, variances = changes / images, squares / images**2
    variances = np.where(groups > 1, variances, np.nan)
    pooled = pool_changes(means, moderate_variances(variances, groups), margins.by_class)
    parts = []
    for k, name in enumerate(by_class):
        parts.append(
            {
                "class": name,
                "is_inside": is_inside,
                "groups": int(groups[k]),
                "change": float(means[k]),
                "loss_probability": float(pooled.loss_probabilities[k]),
            }
        )
    return parts
