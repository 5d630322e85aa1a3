"""Photo by photo: what the models of one split said, and which photos are worth a look."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.evidence.trial import Judged, Trial

CHANGES = ("fixed", "broken", "still wrong", "still right")


def _chance(model: Judged, truth: NDArray[np.intp]) -> NDArray[np.float64]:
    shares = softmax(model.logits.astype(np.float64) / model.temperature, axis=1)
    return np.asarray(shares[np.arange(len(truth)), truth])


def flips_of(image_ids: pd.Series, trial: Trial) -> pd.DataFrame:
    """One row for each photo [n]: the classes named by the first seed of each arm (before, control, after), the
    calibrated probability of the true class before and after, the change, and no heat map yet (-1).

    Where no arms are compared, control and after are the model before."""
    before = trial.of("before")[0]
    control, after = (trial.of(arm)[0] if trial.compared else before for arm in ("control", "targeted"))
    picks = {name: m.logits.argmax(1) for name, m in (("before", before), ("control", control), ("after", after))}
    was, now = picks["before"] == trial.truth, picks["after"] == trial.truth
    names = np.array(trial.names, dtype=object)
    return pd.DataFrame(
        {
            "image_id": image_ids.to_numpy(),
            "label": names[trial.truth],
            **{name: names[pick] for name, pick in picks.items()},
            "p_before": _chance(before, trial.truth),
            "p_after": _chance(after, trial.truth),
            "change": np.select([~was & now, was & ~now, ~was & ~now], CHANGES[:3], default=CHANGES[3]),
            "saliency": np.full(len(trial.truth), -1, dtype=np.int64),
        }
    )


def answers_of(trial: Trial) -> NDArray[np.float32]:
    """Calibrated probabilities float32 [n, 2, classes]: what the model before, and the first targeted one, said.

    Where no arms are compared, the model before stands in both places."""
    before = trial.of("before")[0]
    both = (before, trial.of("targeted")[0] if trial.compared else before)
    shares = [softmax(model.logits.astype(np.float64) / model.temperature, axis=1) for model in both]
    return np.stack(shares, axis=1).astype(np.float32)


def worth_seeing(flips: pd.DataFrame, most: int) -> NDArray[np.intp]:
    """At most so many rows of `flips`: fixed, broken and still wrong in turn, the largest changes first."""
    changed = flips[flips["change"] != CHANGES[3]]
    moved = (changed["p_after"] - changed["p_before"]).abs().to_numpy()
    changed = changed.iloc[np.argsort(-moved, kind="stable")]
    turn = changed.groupby("change").cumcount().to_numpy()
    kind = np.array([CHANGES.index(c) for c in changed["change"]], dtype=np.intp)
    order = np.lexsort((kind, turn))
    return np.asarray(changed.index.to_numpy(dtype=np.intp)[order][:most])
