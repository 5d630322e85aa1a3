"""The settings of the benchmark: cause, severity, prevalence and classes, and their planting."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tests.bench.slices.clean_models import CleanModel, ModelOutputs
from tests.bench.slices.planted_causes import CAUSES, DEVELOPMENT_CAUSES, HELD_OUT_CAUSES

DATA_SETS = ("flowers", "gtsrb")
CAUSE_SETS = {
    "development": DEVELOPMENT_CAUSES,
    "held_out": HELD_OUT_CAUSES,
    "all": (*DEVELOPMENT_CAUSES, *HELD_OUT_CAUSES),
}
SEVERITIES = ("moderate", "severe")
PREVALENCES = (0.05, 0.15)
CLASS_SIZE_FACTOR = 1.1  # a class has this many times the images that are planted in it
# What makes a setting valid.
MIN_PLANTED_IMAGES = 30
MIN_PLANTED_GROUPS = 10
MIN_ACCURACY_LOSS = 0.1
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class PlantedSetting:
    """One combination of the benchmark.

    Attributes:
        data: name of the data set.
        cause: name of the cause.
        severity: 0 for moderate, 1 for severe.
        prevalence: share of val that is planted.
        scope: `all` classes, or one `class`.
    """

    data: str
    cause: str
    severity: int
    prevalence: float
    scope: str

    @property
    def name(self) -> str:
        """Return the name in tables and files."""
        severity = SEVERITIES[self.severity]
        return f"{self.data} {self.cause} {severity} {self.prevalence:.0%} {self.scope}"


@dataclass(frozen=True)
class PlantedCase:
    """Val with a planted cause.

    Attributes:
        setting: the setting.
        clean: the clean model of the data set.
        is_planted: bool [val].
        outputs: the model's outputs on val with the cause.
        pixels: val with the cause, uint8 [val, side, side, 3].
        accuracy_loss: accuracy that the planted images lose.
    """

    setting: PlantedSetting
    clean: CleanModel
    is_planted: NDArray[np.bool_]
    outputs: ModelOutputs
    pixels: NDArray[np.uint8]
    accuracy_loss: float

    @property
    def is_valid(self) -> bool:
        """Return whether the setting counts."""
        group_count = len(np.unique(self.clean.val_groups[self.is_planted]))
        return bool(
            self.is_planted.sum() >= MIN_PLANTED_IMAGES
            and group_count >= MIN_PLANTED_GROUPS
            and self.accuracy_loss >= MIN_ACCURACY_LOSS
        )


def list_settings(data_sets: tuple[str, ...], causes: tuple[str, ...]) -> Iterator[PlantedSetting]:
    """Yield every combination."""
    for data in data_sets:
        for cause in causes:
            for severity in range(len(SEVERITIES)):
                for scope in ("all", "class"):
                    for prevalence in PREVALENCES:
                        yield PlantedSetting(data, cause, severity, prevalence, scope)


def draw_settings(data_sets: tuple[str, ...], causes: tuple[str, ...]) -> list[PlantedSetting]:
    """Return the settings in an order drawn by seed from all settings, valid or not.

    A run that is stopped, or that names some only, leaves a fair sample.
    """
    every = list(list_settings(DATA_SETS, CAUSE_SETS["all"]))
    order = np.argsort(np.random.default_rng(0).permutation(len(every)))
    drawn = [every[position] for position in order]
    return [s for s in drawn if s.data in data_sets and s.cause in causes]


def build_unplanted_case(clean: CleanModel) -> PlantedCase:
    """Return val of a clean model without a planted cause."""
    nothing = np.zeros(len(clean.val_rows), bool)
    setting = PlantedSetting(clean.name, "dark", 0, 0.0, "all")
    return PlantedCase(setting, clean, nothing, clean.val_outputs, clean.val_pixels, 0.0)


def plant_setting(setting: PlantedSetting, clean: CleanModel) -> PlantedCase:
    """Return val with the cause of a setting; the model predicts only planted images again."""
    cause = CAUSES[setting.cause]
    groups = clean.val_groups
    count = len(groups)
    order = _draw_planting_order(setting, clean)
    widest = np.sort(take_whole_groups(order, groups, int(PREVALENCES[-1] * count)))
    pixels = clean.val_pixels
    low, high = cause.strength_ranges[setting.severity]
    treated = cause.plant(pixels[widest], low, high, zlib.crc32(setting.cause.encode()))
    key = f"{setting.cause}-{setting.severity}-{setting.scope}"
    treated_outputs = clean.load_outputs(key, treated, clean.probed_mask[widest])
    is_planted = np.zeros(count, bool)
    is_planted[take_whole_groups(order, groups, int(setting.prevalence * count))] = True
    is_used = is_planted[widest]
    pixels[widest[is_used]] = treated[is_used]
    outputs = replace_outputs(
        clean.val_outputs, treated_outputs, widest, is_used, clean.probed_mask
    )
    before = _compute_correctness(clean, clean.val_outputs)[is_planted]
    after = _compute_correctness(clean, outputs)[is_planted]
    accuracy_loss = float(before.mean() - after.mean())
    return PlantedCase(setting, clean, is_planted, outputs, pixels, accuracy_loss)


def _compute_correctness(clean: CleanModel, outputs: ModelOutputs) -> NDArray[np.bool_]:
    return np.asarray(outputs.logits.argmax(1) == clean.val_labels)


def _draw_planting_order(setting: PlantedSetting, clean: CleanModel) -> Rows:
    """Return rows of val by whole groups, in planting order.

    The smaller prevalence is a part of the larger one.
    """
    labels = clean.images.labels[clean.val_rows]
    groups = clean.val_groups
    seed_text = f"{setting.data} {setting.cause} {setting.scope}"
    rng = np.random.default_rng(zlib.crc32(seed_text.encode()))
    is_allowed = np.ones(len(labels), bool)
    if setting.scope == "class":
        sizes = pd.Series(labels).value_counts()
        min_size = CLASS_SIZE_FACTOR * PREVALENCES[-1] * len(labels)
        large_classes = sorted(sizes.index[sizes >= min_size])
        is_allowed = labels == large_classes[int(rng.integers(len(large_classes)))]
    names = rng.permutation(np.unique(groups[is_allowed]))
    ranks = pd.Series(np.arange(len(names)), index=names)
    rows = np.flatnonzero(is_allowed)
    return rows[np.argsort(ranks.loc[list(groups[rows])].to_numpy(), kind="stable")]


def take_whole_groups(order: Rows, groups: NDArray[np.str_], count: int) -> Rows:
    """Return the first whole groups of `order` that hold `count` images."""
    last_group = groups[order[min(count, len(order)) - 1]]
    last_position = np.flatnonzero(groups[order] == last_group)[-1]
    return order[: int(last_position) + 1]


def replace_outputs(
    clean_outputs: ModelOutputs,
    treated_outputs: ModelOutputs,
    treated_rows: Rows,
    is_used: NDArray[np.bool_],
    probed_mask: NDArray[np.bool_],
) -> ModelOutputs:
    """Return the clean outputs, with the rows of planted images replaced.

    Args:
        clean_outputs: outputs on val.
        treated_outputs: outputs on the treated images.
        treated_rows: row of val of each treated image.
        is_used: bool [treated], whether a treated image is planted.
        probed_mask: bool [val].
    """
    rows = treated_rows[is_used]
    logits = clean_outputs.logits.copy()
    logits[rows] = treated_outputs.logits[is_used]
    features = clean_outputs.features.copy()
    features[rows] = treated_outputs.features[is_used]
    attributes = clean_outputs.attributes.copy()
    attributes.iloc[rows] = treated_outputs.attributes.to_numpy()[is_used]
    probe_logits = clean_outputs.probe_logits.copy()
    is_probed = probed_mask[treated_rows]
    is_used_probed = is_used[is_probed]
    position = np.cumsum(probed_mask) - 1
    probed_rows = position[treated_rows[is_probed][is_used_probed]]
    probe_logits[probed_rows] = treated_outputs.probe_logits[is_used_probed]
    return ModelOutputs(logits, probe_logits, features, attributes)
