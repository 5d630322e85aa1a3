"""What the sealed test set holds of each planned slice, known once the rules are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.statistics.test_power import compute_detectable_gain


def foresee_planned_reach(
    planned_slices: set[str],
    rule_masks: Mapping[str, NDArray[np.bool_]],
    groups: pd.Series[str],
    is_test: NDArray[np.bool_],
) -> list[dict[str, Any]]:
    """Return what the test holds of each planned slice, and the gain that it can show there.

    Rules are applied to test images; no model is.

    Args:
        planned_slices: names of the slices with a remedy for training.
        rule_masks: by slice, images that its rule admits, bool [images]. Rules on looks are left
            out, since the features of test images are not kept.
        groups: group of each image, [images].
        is_test: whether it is in the test set, bool [images].

    Returns:
        Records of slice, images, groups and detectable, the smallest gain that they show with a
        power of 80 %, None if none.
    """
    records = []
    for name in [name for name in rule_masks if name in planned_slices]:
        admitted = is_test & rule_masks[name]
        count = int(groups[admitted].nunique())
        records.append(
            {
                "slice": name,
                "images": int(admitted.sum()),
                "groups": count,
                "detectable": compute_detectable_gain(count),
            }
        )
    return records
