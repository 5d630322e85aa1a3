"""Short fine-tunes of candidate plans, thrown away once they have been asked: which is worth training in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contracts import Context
from pipeline.learning.backbone import load_model
from pipeline.learning.batches import Photos, Pixels
from pipeline.learning.fit import fit
from pipeline.learning.planned import Treat, repeated, treatment_of
from pipeline.learning.predict import logits
from pipeline.learning.settings import FitSettings

SEED = 500  # seeds of the search start here, and end before those of the final arms


@dataclass(frozen=True)
class Course:
    """What all short fine-tunes share: the model they start from, the training photos, and what they are asked.

    passes: image passes of each. asked: pixels uint8 [n, S, S, 3].
    """

    model: Path
    images: pd.DataFrame
    photos: Photos
    asked: Pixels
    passes: int
    rate: float
    treat: Treat

    def answers(self, plan: pd.DataFrame, number: int, context: Context) -> NDArray[np.intp]:
        """Class index [n] that a model answers after training on one plan; an empty plan adds nothing."""
        network, meta = load_model(self.model)
        fitted = fit(
            network,
            meta,
            repeated(plan, self.images, self.photos),
            FitSettings.model_validate({"passes": self.passes, "rate": self.rate}),
            treatment=treatment_of(plan, self.images, self.treat) if len(plan) else None,
            seed=context.seed + SEED,
            scratch=context.scratch / f"search-{number}",
            track=context.track,
        )
        return np.asarray(logits(fitted.model, self.asked, meta).argmax(1), dtype=np.intp)


def tried(course: Course, plans: Sequence[pd.DataFrame], context: Context) -> NDArray[np.intp]:
    """Class index [plans, n]: what each plan's model answers, all from one start, one order and one budget."""
    return np.stack([course.answers(plan, number, context) for number, plan in enumerate(plans)])
