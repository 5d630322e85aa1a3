"""Who loses if one model replaces another: overall, by class, by slice, by class in each slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.gains.loss_probabilities import moderate_variances, pool_changes
from pipeline.statistics.group_intervals import estimate_mean_variance
from pipeline.statistics.paired_comparison import PairedGain, estimate_paired_gain

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
ChangeStatus = Literal["harmed", "not worse", "uncertain"]
SHOWN_LEVEL = 0.05
"""Probability of a loss up to which a subset counts as not worse."""


@dataclass(frozen=True)
class HarmMargins:
    """How much worse a model may be before it counts as inferior, as shares.

    Attributes:
        overall: margin over all images.
        by_class: margin of a part: a class, a slice, a class within a slice, the images outside.
        max_loss_probability: highest probability of a loss beyond the margin that is accepted. It
            does not depend on the alpha that an opening of the test set may spend.
        level: level of the bound over all images, which does not depend on it either.
    """

    overall: float = 0.01
    by_class: float = 0.03
    max_loss_probability: float = 0.5
    level: float = 0.05


DEFAULT_HARM_MARGINS = HarmMargins()


@dataclass(frozen=True)
class Subset:
    """Images that may lose together.

    Attributes:
        slice_name: name of the slice; None for images of all slices and of none.
        class_name: name of the class; None for all classes.
        inside: bool [n].
    """

    slice_name: str | None
    class_name: str | None
    inside: Mask


@dataclass(frozen=True)
class SubsetChange:
    """The change of one subset.

    Attributes:
        subset: the subset.
        groups: number of its groups.
        treated: mean utility of the new model.
        reference: mean utility of the other model.
        pooled: posterior mean of the change, drawn towards the other subsets of its kind.
        loss_probability: posterior probability of a loss beyond the margin.
        status: harmed | not worse | uncertain.
    """

    subset: Subset
    groups: int
    treated: float
    reference: float
    pooled: float
    loss_probability: float
    status: ChangeStatus

    def build_record(self) -> dict[str, Any]:
        """Return the change as finite JSON."""
        return {
            "slice": self.subset.slice_name,
            "class": self.subset.class_name,
            "n": int(self.subset.inside.sum()),
            "groups": self.groups,
            "treated": self.treated,
            "reference": self.reference,
            "mean": self.treated - self.reference,
            "pooled": self.pooled,
            "loss_probability": self.loss_probability,
            "status": self.status,
        }


@dataclass(frozen=True)
class ModelPair:
    """What two models get right on the same images.

    Attributes:
        treated: correctness or utility of the new model, float64 [seeds, n].
        reference: the same of the other one, float64 [seeds, n].
        groups: the group of each image, [n].
    """

    treated: Floats
    reference: Floats
    groups: NDArray[Any]

    def estimate_gain(
        self, inside: Mask, alpha: float, weights: Floats | None = None
    ) -> PairedGain:
        """Return the gain on a subset; `weights` of all images make another mean."""
        chosen = None if weights is None else weights[inside]
        treated, reference = self.treated[:, inside], self.reference[:, inside]
        return estimate_paired_gain(treated, reference, self.groups[inside], alpha, chosen)


def assess_changes(
    pair: ModelPair, subsets: Sequence[Subset], margin: float, max_loss_probability: float
) -> list[SubsetChange]:
    """Return the change of each subset of one kind, empty ones left out.

    Args:
        pair: both models.
        subsets: the subsets.
        margin: loss that does not count.
        max_loss_probability: probability of a loss above which a subset counts as harmed.
    """
    known = [subset for subset in subsets if subset.inside.any()]
    if not known:
        return []
    differences = pair.treated.mean(axis=0) - pair.reference.mean(axis=0)
    counts, variances, means = [], [], []
    for subset in known:
        groups = pair.groups[subset.inside]
        counts.append(len(np.unique(groups)))
        variances.append(estimate_mean_variance(differences[subset.inside], groups))
        means.append(float(differences[subset.inside].mean()))
    moderated = moderate_variances(np.array(variances), np.array(counts, dtype=np.float64))
    pooled = pool_changes(np.array(means), moderated, margin)
    changes = []
    for k, subset in enumerate(known):
        probability = float(pooled.loss_probabilities[k])
        changes.append(
            SubsetChange(
                subset,
                counts[k],
                float(pair.treated[:, subset.inside].mean()),
                float(pair.reference[:, subset.inside].mean()),
                float(pooled.means[k]),
                probability,
                _classify_change(probability, max_loss_probability),
            )
        )
    return changes


def _classify_change(loss_probability: float, max_loss_probability: float) -> ChangeStatus:
    if loss_probability > max_loss_probability:
        return "harmed"
    return "not worse" if loss_probability <= SHOWN_LEVEL else "uncertain"


@dataclass(frozen=True)
class SafetyResult:
    """Whether it is safe to replace a model by another.

    Attributes:
        overall_gain: gain over all images, of all seeds.
        shipped_mean: the same of the model that would ship.
        margin: loss over all images that is accepted.
        outside: change of the images outside the planned slices; None without such slices.
        classes: change of each class.
        slices: change of each slice.
        slice_classes: change of each class within each slice.
    """

    overall_gain: PairedGain
    shipped_mean: float
    margin: float
    outside: SubsetChange | None
    classes: list[SubsetChange]
    slices: list[SubsetChange]
    slice_classes: list[SubsetChange]

    @property
    def is_overall_safe(self) -> bool:
        """Return whether a loss beyond the margin is excluded, and the shipped model shows none."""
        return self.overall_gain.bound > -self.margin and self.shipped_mean > -self.margin

    @property
    def is_screened(self) -> bool:
        """Return whether no loss shows overall and no part is harmed, though none is excluded."""
        parts = [*self.classes, *self.slices, *self.slice_classes]
        parts += [self.outside] if self.outside else []
        is_overall_fine = min(self.overall_gain.mean, self.shipped_mean) > -self.margin
        return is_overall_fine and all(part.status != "harmed" for part in parts)

    def build_record(self) -> dict[str, Any]:
        """Return the result as finite JSON."""
        return {
            "screened": self.is_screened,
            "overall": {**self.overall_gain.build_record(), "shipped": self.shipped_mean},
            "overall_passed": self.is_overall_safe,
            "outside": self.outside.build_record() if self.outside else None,
            "classes": [change.build_record() for change in self.classes],
            "slices": [change.build_record() for change in self.slices],
            "slice_classes": [change.build_record() for change in self.slice_classes],
        }


def list_class_subsets(
    labels: NDArray[Any], slice_masks: Mapping[str, Mask] | None = None
) -> list[Subset]:
    """Return a subset for each class, or for each class within each slice.

    Args:
        labels: the class of each image, [n].
        slice_masks: members of each slice, bool [n]; None for all images.
    """
    if slice_masks is None:
        return [Subset(None, str(name), labels == name) for name in np.unique(labels)]
    subsets = []
    for slice_name, mask in slice_masks.items():
        for name in np.unique(labels[mask]):
            subsets.append(Subset(slice_name, str(name), mask & (labels == name)))
    return subsets


def assess_safety(
    pairs: tuple[ModelPair, ModelPair],
    labels: NDArray[Any],
    masks: tuple[Mapping[str, Mask], Mapping[str, Mask]],
    outside: Mask | None,
    margins: HarmMargins = DEFAULT_HARM_MARGINS,
) -> SafetyResult:
    """Return whether the new model is not worse: overall, outside, by class and by slice.

    Overall, the lower bound at a fixed level must exceed the margin. A part is harmed if its loss
    beyond the margin is more probable than accepted, under a hierarchical model of all parts of its
    kind.

    Args:
        pairs: both models with all seeds, and with the seed that would ship.
        labels: the class of each image, [n].
        masks: members of each slice, bool [n], and the images in which its classes are judged: a
            slice of one class may gain at the cost of another class under the same condition.
        outside: images outside the planned slices, bool [n]; None without such slices.
        margins: losses that are accepted.
    """
    everything = np.ones(len(labels), dtype=np.bool_)
    trained, shipped = pairs
    slice_masks, condition_masks = masks

    def assess(subsets: Sequence[Subset]) -> list[SubsetChange]:
        return assess_changes(shipped, subsets, margins.by_class, margins.max_loss_probability)

    by_slice = [Subset(name, None, mask) for name, mask in slice_masks.items()]
    others = [] if outside is None else assess([Subset(None, None, outside)])
    return SafetyResult(
        trained.estimate_gain(everything, margins.level),
        float((shipped.treated.mean(axis=0) - shipped.reference.mean(axis=0)).mean()),
        margins.overall,
        others[0] if others else None,
        assess(list_class_subsets(labels)),
        assess(by_slice),
        assess(list_class_subsets(labels, condition_masks)),
    )
