"""Short fine-tunes of candidate plans, thrown away once they have been asked: which is worth training in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contracts import StageContext
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import load_model
from pipeline.learning.training.batch_sampling import PixelArray, TrainingImages
from pipeline.learning.training.targeted_treatment import (
    RemedyFunction,
    build_targeted_treatment,
    repeat_planned_images,
)
from pipeline.learning.training.training_loop import fit_network
from pipeline.learning.training_settings import FitSettings

SEARCH_SEED_OFFSET = 500  # seeds of the search start here, and end before those of the final arms


@dataclass(frozen=True)
class PlanTrial:
    """What all short fine-tunes share: the model they start from, the training images, and what they are asked.

    passes: image passes of each. asked: pixels uint8 [n, S, S, 3].
    """

    model_folder: Path
    images: pd.DataFrame
    training_images: TrainingImages
    evaluation_pixels: PixelArray
    image_passes: int
    learning_rate: float
    apply_remedy: RemedyFunction

    def predict_after_training(
        self, plan: pd.DataFrame, plan_number: int, context: StageContext
    ) -> NDArray[np.intp]:
        """Class index [n] that a model answers after training on one plan; an empty plan adds nothing."""
        network, meta = load_model(self.model_folder)
        fitted = fit_network(
            network,
            meta,
            repeat_planned_images(plan, self.images, self.training_images),
            FitSettings.model_validate(
                {"image_passes": self.image_passes, "learning_rate": self.learning_rate}
            ),
            treatment=build_targeted_treatment(plan, self.images, self.apply_remedy)
            if len(plan)
            else None,
            seed=context.seed + SEARCH_SEED_OFFSET,
            scratch_folder=context.scratch_folder / f"search-{plan_number}",
            track=context.track_progress,
        )
        return np.asarray(
            compute_logits(fitted.model, self.evaluation_pixels, meta).argmax(1), dtype=np.intp
        )


def evaluate_plans(
    plan_trial: PlanTrial, plans: Sequence[pd.DataFrame], context: StageContext
) -> NDArray[np.intp]:
    """Class index [plans, n]: what each plan's model answers, all from one start, one order and one budget."""
    return np.stack(
        [
            plan_trial.predict_after_training(plan, number, context)
            for number, plan in enumerate(plans)
        ]
    )
