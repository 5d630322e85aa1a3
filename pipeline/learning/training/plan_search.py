"""Short fine-tunes of candidate plans, to find the plan that is worth a full training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contracts import StageContext
from pipeline.learning.batches.batch_sampling import PixelArray, TrainingImages
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import load_model
from pipeline.learning.training.targeted_treatment import (
    RemedyFunction,
    build_targeted_treatment,
    repeat_planned_images,
)
from pipeline.learning.training.training_loop import fit_network
from pipeline.learning.training_settings import FitSettings

SEARCH_SEED_OFFSET = 500
"""Offset of the search's seeds, which end before the seeds of the final arms begin."""


@dataclass(frozen=True)
class PlanTrial:
    """Everything that the short fine-tunes of one search share.

    Attributes:
        model_folder: the model that each of them starts from.
        images: the artifact of this name.
        training_images: the images to train on.
        evaluation_pixels: the images to predict afterwards, uint8 [n, S, S, 3].
        image_passes: image passes of each fine-tune.
        learning_rate: highest learning rate.
        augmentation: settings of the augmentation that all arms share.
        apply_remedy: applies a remedy to pixels.
    """

    model_folder: Path
    images: pd.DataFrame
    training_images: TrainingImages
    evaluation_pixels: PixelArray
    image_passes: int
    learning_rate: float
    augmentation: Mapping[str, Any]
    apply_remedy: RemedyFunction

    def predict_after_training(
        self, plan: pd.DataFrame, plan_number: int, context: StageContext
    ) -> NDArray[np.intp]:
        """Return the predicted class indices, [n], of a model that is fine-tuned by one plan.

        The model is then discarded.

        Args:
            plan: the plan; an empty one leaves the training images as they are.
            plan_number: number of the plan, for its scratch folder.
            context: gives the seed, the scratch folder and the progress.
        """
        network, meta = load_model(self.model_folder)
        treatment = None
        if len(plan):
            treatment = build_targeted_treatment(plan, self.images, self.apply_remedy)
        fit_result = fit_network(
            network,
            meta,
            repeat_planned_images(plan, self.images, self.training_images),
            FitSettings(
                **self.augmentation,
                image_passes=self.image_passes,
                learning_rate=self.learning_rate,
            ),
            treatment=treatment,
            seed=context.seed + SEARCH_SEED_OFFSET,
            scratch_folder=context.scratch_folder / f"search-{plan_number}",
            track=context.track_progress,
        )
        logits = compute_logits(fit_result.model, self.evaluation_pixels, meta)
        return np.asarray(logits.argmax(1), dtype=np.intp)


def evaluate_plans(
    plan_trial: PlanTrial, plans: Sequence[pd.DataFrame], context: StageContext
) -> NDArray[np.intp]:
    """Return the predictions of each plan's model, class indices [plans, n].

    All models have the same start, the same order of images and the same budget.

    Args:
        plan_trial: what the fine-tunes share.
        plans: the candidate plans.
        context: gives the seed, the scratch folder and the progress.
    """
    predictions = []
    for number, plan in enumerate(plans):
        predictions.append(plan_trial.predict_after_training(plan, number, context))
    return np.stack(predictions)
