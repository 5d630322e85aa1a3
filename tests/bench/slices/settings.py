"""The settings of the benchmark: which cause, how strong, in how many images, in which classes.

And the planting.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tests.bench.slices.causes import CAUSES
from tests.bench.slices.clean import Answers, Clean

PREVALENCE = (0.05, 0.15)
PHOTOS, GROUPS, DROP = 30, 10, 0.1  # what makes a setting valid
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Setting:
    """scope: one class or all of them. prevalence: share of val."""

    data: str
    cause: str
    severity: int
    prevalence: float
    scope: str  # all | class

    @property
    def name(self) -> str:
        """For tables."""
        strength = ("moderate", "severe")[self.severity]
        return f"{self.data} {self.cause} {strength} {self.prevalence:.0%} {self.scope}"


@dataclass(frozen=True)
class Case:
    """val with a cause planted. planted: bool [val]; drop.

    Paired loss of accuracy of the planted images.
    """

    setting: Setting
    clean: Clean
    planted: NDArray[np.bool_]
    answers: Answers
    pixels: NDArray[np.uint8]
    drop: float

    @property
    def valid(self) -> bool:
        """Whether the setting counts."""
        groups = self.clean.images.groups[self.clean.val][self.planted]
        return bool(
            self.planted.sum() >= PHOTOS and len(np.unique(groups)) >= GROUPS and self.drop >= DROP
        )


def settings(data: tuple[str, ...], causes: tuple[str, ...]) -> Iterator[Setting]:
    """Every combination."""
    for name in data:
        for cause in causes:
            for severity in (0, 1):
                for scope in ("all", "class"):
                    yield from (
                        Setting(name, cause, severity, share, scope) for share in PREVALENCE
                    )


def _order(setting: Setting, clean: Clean) -> Rows:
    """Rows of val by whole groups, in the order in which they are planted; the smaller prevalence is a part of the
    larger one."""
    labels, groups = clean.images.labels[clean.val], clean.images.groups[clean.val]
    rng = np.random.default_rng(
        zlib.crc32(f"{setting.data} {setting.cause} {setting.scope}".encode())
    )
    allowed = np.ones(len(labels), bool)
    if setting.scope == "class":
        sizes = pd.Series(labels).value_counts()
        large = sorted(sizes.index[sizes >= 1.1 * PREVALENCE[-1] * len(labels)])
        allowed = labels == large[int(rng.integers(len(large)))]
    names = rng.permutation(np.unique(groups[allowed]))
    place = pd.Series(np.arange(len(names)), index=names)
    rows = np.flatnonzero(allowed)
    return rows[np.argsort(place[groups[rows]].to_numpy(), kind="stable")]


def _until(order: Rows, groups: NDArray[np.str_], count: int) -> Rows:
    """The first whole groups of `order` that hold `count` images."""
    last = groups[order[min(count, len(order)) - 1]]
    return order[: int(np.flatnonzero(groups[order] == last)[-1]) + 1]


def plant(setting: Setting, clean: Clean) -> Case:
    """val with the cause in it; only the planted images are predicted again."""
    cause, groups, n = CAUSES[setting.cause], clean.images.groups[clean.val], len(clean.val)
    order = _order(setting, clean)
    widest = np.sort(_until(order, groups, int(PREVALENCE[-1] * n)))
    pixels = clean.images.pixels[clean.val]
    low, high = cause.strengths[setting.severity]
    treated = cause.plant(pixels[widest], low, high, zlib.crc32(setting.cause.encode()))
    key = f"{setting.cause}-{setting.severity}-{setting.scope}"
    new = clean.answers(key, treated, clean.sample[widest])
    planted = np.zeros(n, bool)
    planted[_until(order, groups, int(setting.prevalence * n))] = True
    here = planted[widest]
    pixels = pixels.copy()
    pixels[widest[here]] = treated[here]
    answers = _merged(clean.as_they_are, new, (widest, here), clean.sample)
    truth = pd.Index(clean.images.names).get_indexer(pd.Index(clean.images.labels[clean.val]))
    right = [a.logits.argmax(1)[planted] == truth[planted] for a in (clean.as_they_are, answers)]
    return Case(setting, clean, planted, answers, pixels, float(right[0].mean() - right[1].mean()))


def _merged(
    old: Answers, new: Answers, which: tuple[Rows, NDArray[np.bool_]], sample: NDArray[np.bool_]
) -> Answers:
    widest, here = which
    rows = widest[here]
    logits, features = old.logits.copy(), old.features.copy()
    logits[rows], features[rows] = new.logits[here], new.features[here]
    attributes = old.attributes.copy()
    attributes.iloc[rows] = new.attributes.to_numpy()[here]
    probed = old.probed.copy()
    position = np.cumsum(sample) - 1
    chosen = here[sample[widest]]
    probed[position[widest[sample[widest]][chosen]]] = new.probed[chosen]
    return Answers(logits, probed, features, attributes)
