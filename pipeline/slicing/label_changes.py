"""Which transforms turn photos of one class into photos of another, and may not train."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.slicing.rules import named_rows
from pipeline.slicing.validation import Val


def label_changes(
    val: Val, responses: NDArray[np.int16], interventions: pd.DataFrame, names: list[str], least: float
) -> list[dict[str, Any]]:
    """Transforms that turn photos of one class into another: [{remedy, dose, from, to, share, n, groups}].

    A relabelling is told from a mere failure by its inverse: where a transform sends most correct photos of class
    a to class b, its inverse sends most of b to a (a mirrored "keep left" is "keep right", and back again).
    """
    right = val.probe.correct
    truth, groups = val.truth[val.probed][right], val.probe.groups[right]
    after = np.asarray(responses)[val.kept][right]
    count = np.bincount(truth, minlength=len(names))
    column_of = {(r.remedy, round(r.dose, 6)): i for i, r in enumerate(named_rows(interventions))}

    def share(column: int) -> NDArray[np.float64]:
        sent = np.zeros((len(names), len(names)))
        np.add.at(sent, (truth, after[:, column]), 1)
        return sent / np.maximum(count, 1)[:, None]

    found = []
    for i, item in enumerate(named_rows(interventions)):
        plugin = plugins.module("remedies", item.remedy)
        inverse = plugin.inverse(item.dose) if plugin.CHANGES_LABEL else None
        back = column_of.get((item.remedy, round(inverse, 6))) if inverse is not None else None
        if back is None:
            continue
        there = share(i)
        for a, b in np.argwhere(np.minimum(there, share(back).T) >= least):
            n_groups = len(np.unique(groups[truth == a]))
            if a != b and n_groups >= 2:
                found.append(
                    {
                        "remedy": item.remedy,
                        "dose": float(item.dose),
                        "from": names[a],
                        "to": names[b],
                        "share": round(float(there[a, b]), 4),
                        "n": int(count[a]),
                        "groups": n_groups,
                    }
                )
    return found
