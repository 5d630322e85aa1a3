"""The screening of interventions: all are tried on some images, and the useful on the rest.

Screening saves predictions and decides nothing: an intervention that moves nothing on the screened
images cannot help a slice. What it was not tried on is recorded as such
([why](../../decisions/screened-interventions.md)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.slices.finder_constants import CONSTANTS
from pipeline.statistics.capped_sampling import find_group_cap
from pipeline.statistics.group_sampling import number_within_groups

NULL_INTERVENTION = ("noise", 1.0)
"""The null transform: noise of one gray level, which nobody sees.

Images whose prediction it changes lie on the border between two classes; any intervention moves as
many.
"""


@dataclass(frozen=True)
class ChangeCounts:
    """What an intervention did to the screened images.

    Attributes:
        repaired: number of misclassified images that it made correct.
        broken: number of correct images that it made misclassified.
        correct: number of images that were correct before.
    """

    repaired: int
    broken: int
    correct: int

    def can_exceed(self, null: ChangeCounts) -> bool:
        """Return whether an intervention may do more than a null transform: it is asked further.

        It repairs an image, and as many as the null transform: a small slice has few failures among
        the screened images. Damage names no cause and helps no slice. It counts from
        `CauseConstants.min_screened_damage` of the correct images on.

        Args:
            null: what the null transform did to the same images.
        """
        allowed = null.broken + CONSTANTS.causes.min_screened_damage * self.correct
        return self.repaired >= max(null.repaired, 1) or self.broken > allowed


def count_changes(
    is_correct_before: NDArray[np.bool_], is_correct: NDArray[np.bool_]
) -> ChangeCounts:
    """Return how many images were repaired and broken.

    Args:
        is_correct_before: bool [screened].
        is_correct: bool [screened], after the intervention.
    """
    repaired = int((is_correct & ~is_correct_before).sum())
    broken = int((~is_correct & is_correct_before).sum())
    return ChangeCounts(repaired, broken, int(is_correct_before.sum()))


def draw_screen(sample: pd.DataFrame, screened_images: int, seed: int) -> pd.Series[float]:
    """Return the weights of the screened images, spread over classes, outcomes and groups.

    The misclassified and the correct images of every class are a stratum. Each contributes at most
    the same number of images, so that rare classes and most failures are screened: a repair is seen
    on failures alone. Within a stratum the groups take turns, and the weights undo the strata.

    Args:
        sample: images with `group`, `label_index` and `is_correct`.
        screened_images: images at most, or one of each stratum if that is more.
        seed: seed of the draw.

    Returns:
        By index of `sample`, how many of its images each one stands for; 0 if not screened.
    """
    if len(sample) <= screened_images:
        return pd.Series(1.0, sample.index)
    weights = pd.Series(0.0, sample.index)
    strata = ["label_index", "is_correct"]
    cap = find_group_cap(sample[strata].value_counts().to_numpy(), screened_images)
    rng = np.random.default_rng(seed)
    for _, images in sample.groupby(strata, sort=True):
        shuffled = images["group"].iloc[rng.permutation(len(images))]
        in_turn = shuffled.iloc[np.argsort(number_within_groups(shuffled), kind="stable")]
        drawn = in_turn.iloc[:cap]
        group_weights = images["group"].value_counts() / drawn.value_counts()
        drawn_weights = drawn.map(group_weights).astype(np.float64)
        weights[drawn.index] = drawn_weights * (len(images) / drawn_weights.sum())
    return weights
