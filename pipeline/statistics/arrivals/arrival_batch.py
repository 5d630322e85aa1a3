"""What the labels of one batch of arriving images say of each group and of each class."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.arrivals.active_evaluation import LabeledTraffic
from pipeline.statistics.group_intervals import sum_by_group

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ClassSums:
    """Changes of the images of one class, summed by group.

    Attributes:
        class_name: the class.
        is_inside: whether the images inside the planned slices alone are meant.
        images: images of the class, estimated.
        change: sum of the gains, estimated.
        squares: sum over groups of the squared sums.
        groups: groups with a labeled disagreement of the class.
    """

    class_name: str
    is_inside: bool
    images: float
    change: float
    squares: float
    groups: int


@dataclass(frozen=True)
class ArrivalBatch:
    """The evidence of one labeled batch of arriving images.

    Where both models agree the gain is zero without a label. A labeled image counts by the inverse
    of its probability to be drawn, divided by the largest such factor. The gain of a group is then
    between -1 and 1, and its expectation is `scale` times the true one.

    Attributes:
        groups: groups of the batch.
        inside: gain of each group on its images inside the planned slices; None without such.
        overall: gain of each group on all its images.
        inside_scale: factor that reduces the gains of `inside`.
        overall_scale: factor that reduces the gains of `overall`.
        labels: labels that came back.
        classes: changes by class, and by class inside the planned slices.
    """

    groups: list[str]
    inside: list[float | None]
    overall: list[float]
    inside_scale: float
    overall_scale: float
    labels: int
    classes: list[ClassSums]

    def build_record(self) -> dict[str, Any]:
        """Return the batch as JSON."""
        return asdict(self)

    @classmethod
    def parse_record(cls, record: dict[str, Any]) -> ArrivalBatch:
        """Return the batch of a record.

        Raises:
            KeyError: an entry is missing.
            TypeError: an entry of a class is missing or unknown.
        """
        names = cls.__dataclass_fields__
        values = {name: record[name] for name in names}
        classes = [ClassSums(**item) for item in values.pop("classes")]
        return cls(**values, classes=classes)


@dataclass(frozen=True)
class ArrivedAnswers:
    """Answers of both models to arriving images, and the labels that came back.

    Attributes:
        challenger: predicted class of the challenger, [n].
        incumbent: predicted class of the model in force, [n].
        labels: label of each labeled image, anything elsewhere, [n].
        is_inside: whether a planned slice admits the image, bool [n].
    """

    challenger: NDArray[Any]
    incumbent: NDArray[Any]
    labels: NDArray[Any]
    is_inside: Mask

    @property
    def is_disagreement(self) -> Mask:
        """Return where both predict different classes, bool [n]."""
        return np.asarray(self.challenger != self.incumbent, dtype=np.bool_)

    @property
    def gains(self) -> Floats:
        """Return correct of the challenger less correct of the other; labeled images count."""
        challenger = np.asarray(self.challenger == self.labels, dtype=np.float64)
        return challenger - np.asarray(self.incumbent == self.labels, dtype=np.float64)


def build_arrival_batch(traffic: LabeledTraffic, answers: ArrivedAnswers) -> ArrivalBatch:
    """Return the evidence of a batch.

    Args:
        traffic: groups of the images, and which of them are labeled.
        answers: the predictions and the labels.
    """
    is_counted = answers.is_disagreement & traffic.is_labeled
    weighted = np.where(answers.is_disagreement, traffic.weigh(answers.gains), 0.0)
    parts = []
    for inside in (answers.is_inside, np.ones(len(weighted), dtype=np.bool_)):
        known = traffic.probability[is_counted & inside]
        scale = min(float(known.min()), 1.0) if len(known) else 1.0
        sums = scale * sum_by_group(weighted * inside, traffic.groups)
        sizes = sum_by_group(inside.astype(np.float64), traffic.groups)
        values = np.clip(sums / np.maximum(sizes, 1.0), -1.0, 1.0)  # clips rounding alone
        parts.append((values, sizes, scale))
    (inside_values, inside_sizes, inside_scale), (values, _, scale) = parts
    inside_list: list[float | None] = []
    for value, size in zip(inside_values.tolist(), inside_sizes.tolist(), strict=True):
        inside_list.append(value if size else None)
    return ArrivalBatch(
        [str(name) for name in np.unique(traffic.groups)],
        inside_list,
        values.tolist(),
        inside_scale,
        scale,
        int(traffic.is_labeled.sum()),
        _sum_classes(traffic, answers, weighted),
    )


def _sum_classes(
    traffic: LabeledTraffic, answers: ArrivedAnswers, weighted: Floats
) -> list[ClassSums]:
    """Return the changes by class, of all images and of those inside the planned slices.

    Where both models predict the same class of an image, it is taken to be its class.
    """
    is_agreed = ~answers.is_disagreement
    is_counted = answers.is_disagreement & traffic.is_labeled
    factors = traffic.weigh(np.ones(len(weighted)))
    names = set(answers.challenger[is_agreed]) | set(answers.labels[is_counted])
    sums = []
    for is_inside_alone in (False, True):
        inside = answers.is_inside if is_inside_alone else np.ones(len(weighted), dtype=np.bool_)
        for name in sorted(names, key=str):
            is_class = is_counted & inside & (answers.labels == name)
            agreed = is_agreed & inside & (answers.challenger == name)
            count = float(agreed.sum() + factors[is_class].sum())
            if not count:
                continue
            by_group = sum_by_group(np.where(is_class, weighted, 0.0), traffic.groups)
            sums.append(
                ClassSums(
                    str(name),
                    is_inside_alone,
                    count,
                    float(by_group.sum()),
                    float((by_group**2).sum()),
                    len(np.unique(traffic.groups[is_class])),
                )
            )
    return sums
