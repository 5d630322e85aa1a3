"""The candidates of the comparison: every arm trained, averaged and interpolated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contracts import ProgressTracker
from pipeline.domain.rules import Mask
from pipeline.domain.statuses import LadderStep, SeedOutcome
from pipeline.domain.validation_set import ValidationSet
from pipeline.learning.batches.batch_sampling import ArraySubset, TrainingImages
from pipeline.learning.training.arm_mixing import (
    ArmFit,
    ArmMixer,
    JudgingImages,
    MixedArm,
    SeedFits,
)
from pipeline.learning.training.arm_store import hash_arrays
from pipeline.learning.training.arm_training import ArmTrainer, TrainingArm
from pipeline.learning.training.targeted_treatment import TargetedTreatment
from pipeline.slices.candidates.cross_fitting import assign_halves
from pipeline.slices.comparison.remedy_ladder import LADDER_FILE, StepOutcome, build_ladder
from pipeline.slices.comparison.seed_stages import (
    FIRST_SEED_COUNT,
    FUTILE_POWER,
    SEEDS_FILE,
    forecast_validation,
)
from pipeline.slices.prescription.real_images import REAL_IMAGES_FILE, RealImages, join_masks
from pipeline.slices.tracking.slice_matching import hash_groups
from pipeline.statistics.classification.error_costs import compute_utilities
from pipeline.statistics.gains.share_choice import list_judged_parts, score_parts
from pipeline.storage.artifact_store import compute_key, write_json


@dataclass(frozen=True)
class CandidateTraining:
    """Trains the arms of the comparison, and averages each into the model that is compared.

    Attributes:
        trainer: trains one arm.
        seeds: seeds of each arm.
        val: the validation set.
        planned_members: images of each planned slice, bool [rows].
        real_images: validation images that are trained on; None for none.
        pixels: uint8 [images, S, S, 3].
        holdout_images: training images for the temperature.
        output_folder: folder of the candidates.
    """

    trainer: ArmTrainer
    seeds: Sequence[int]
    val: ValidationSet
    planned_members: Mapping[str, Mask]
    real_images: RealImages | None
    pixels: NDArray[np.uint8]
    holdout_images: TrainingImages
    output_folder: Path

    def train_arms(
        self, arms: Sequence[TrainingArm], *, has_treatment_step: bool
    ) -> list[dict[str, Any]]:
        """Return the entries of `candidates.json`, arm by arm; their weights are written.

        Control and targeted arm are trained with two seeds first, and with the further ones if
        validation may still pass. The generic arm takes no part in the gate: it is left out where
        validation must refuse. The folder also gets the records of the seeds and of the real
        images, and the gain of each step of the remedy.

        Args:
            arms: control, targeted and generic.
            has_treatment_step: whether the targeted arm is trained without validation images too.
        """
        judged = [arm for arm in arms if arm.name != "generic"]
        trained: dict[str, list[SeedFits]] = {arm.name: [] for arm in judged}
        record: dict[str, Any] = {"outcome": SeedOutcome.COMPLETE, "conditional_power": None}
        trainings = self._choose_trainings(judged, trained, record)
        count = len(judged) * len(self.seeds)
        for arm, seed in self._track(trainings, total=count, unit="trainings of arms"):
            trained[arm.name].append(self.train_seed(arm, seed))
        entries: list[dict[str, Any]] = []
        can_pass = record["outcome"] == SeedOutcome.COMPLETE
        for arm in judged:
            mixed = self._create_mixer(arm).mix_seeds(trained[arm.name])
            entries += mixed.entries
            if arm.name == "targeted":
                can_pass &= self.can_pass_validation(mixed.ladder["mix"][0])
                self._write_ladder(arm, mixed, has_treatment_step=has_treatment_step)
        for arm in arms:
            if arm.name == "generic" and can_pass:
                seeds = self._track(self.seeds, total=len(self.seeds), unit="generic trainings")
                fits = [self.train_seed(arm, seed) for seed in seeds]
                entries += self._create_mixer(arm).mix_seeds(fits).entries
        record["trained"], record["planned"] = len(trained["control"]), len(self.seeds)
        record["passes"] = sum(entry["passes"] or 0 for entry in entries)
        write_json(self.output_folder / SEEDS_FILE, record)
        write_json(self.output_folder / REAL_IMAGES_FILE, self._describe_real_images())
        return entries

    @property
    def _track(self) -> ProgressTracker:
        return self.trainer.context.track_progress

    def _choose_trainings(
        self,
        arms: Sequence[TrainingArm],
        trained: Mapping[str, Sequence[SeedFits]],
        record: dict[str, Any],
    ) -> Iterator[tuple[TrainingArm, int]]:
        """Yield arm and seed of each training; further seeds only if validation may still pass.

        Args:
            arms: control and targeted.
            trained: by name of the arm, what was trained so far.
            record: receives the conditional power, and the outcome if it is too small.
        """
        first, further = self.seeds[:FIRST_SEED_COUNT], self.seeds[FIRST_SEED_COUNT:]
        yield from product(arms, first)
        if further:
            record["conditional_power"] = self._forecast_validation(arms, trained)
            if record["conditional_power"] < FUTILE_POWER:
                record["outcome"] = SeedOutcome.FUTILE
                return
        yield from product(arms, further)

    def _forecast_validation(
        self, arms: Sequence[TrainingArm], trained: Mapping[str, Sequence[SeedFits]]
    ) -> float:
        """Return the largest probability that validation passes once all seeds are trained."""
        utilities = {}
        for arm in arms:
            mixer = self._create_mixer(arm)
            judged = [mixer.judge_seeds([fits], (1.0, 1.0)) for fits in trained[arm.name]]
            utilities[arm.name] = np.array(judged)
        return forecast_validation(
            self.val,
            self.planned_members.values(),
            utilities["targeted"],
            utilities["control"],
            len(self.seeds),
        )

    def _write_ladder(self, arm: TrainingArm, mixed: MixedArm, *, has_treatment_step: bool) -> None:
        """Write the gain of each step of the remedy."""
        steps = self._list_steps(mixed)
        if has_treatment_step and self.real_images:
            steps.insert(0, self._judge_treatment(arm, len(mixed.ladder["seeds"])))
        is_planned = join_masks(self.planned_members, self.val.image_count)
        write_json(self.output_folder / LADDER_FILE, build_ladder(self.val, steps, is_planned))

    def can_pass_validation(self, utilities: NDArray[np.float64]) -> bool:
        """Return whether a planned slice gains over the model before, with equal class weights.

        Validation passes with such a slice only. The further conditions are left to the gate.

        Args:
            utilities: utility of the targeted arm's prediction on each validation image, by weights
                that did not see the image, float64 [rows].
        """
        val = self.val
        gains = utilities - compute_utilities(val.labels, val.predictions, val.error_costs)
        classes = [val.labels == index for index in np.unique(val.labels)]
        return any(
            score_parts(gains, classes, inside) > 0 for inside in self.planned_members.values()
        )

    @cached_property
    def _halves(self) -> NDArray[np.intp]:
        return assign_halves(self.val.folds)

    @cached_property
    def _judging_images(self) -> JudgingImages:
        val = self.val

        def compute_val_utilities(predictions: NDArray[np.intp]) -> NDArray[np.float64]:
            return compute_utilities(val.labels, predictions, val.error_costs)

        return JudgingImages(
            ArraySubset(self.pixels, np.asarray(val.image_rows)),
            self._halves,
            val.groups,
            list_judged_parts(val.labels, self.planned_members),
            compute_val_utilities,
        )

    def _create_mixer(self, arm: TrainingArm) -> ArmMixer:
        is_head_only = arm.is_head_only or self.trainer.settings.head_only
        return ArmMixer(
            replace(arm, is_head_only=is_head_only),
            self.trainer.model_folder,
            self.output_folder,
            self._judging_images,
            self.holdout_images,
        )

    def train_seed(self, arm: TrainingArm, seed: int) -> SeedFits:
        """Return the trainings of one seed: one for each half of the validation images, or one."""
        name = f"{arm.name}-{seed}"
        if self.real_images is None:
            file, record = self.trainer.train_arm(arm, seed, name)
            return SeedFits(
                seed, (ArmFit(file, arm.images, arm.treatment),), _join_records([record])
            )
        chosen = self.real_images.random
        if arm.name == "targeted":
            chosen = self.real_images.targeted
        fits, records = [], []
        for half, repeated in enumerate(chosen):
            rows = self.val.image_rows[repeated.positions]
            labels = self.val.labels[repeated.positions].astype(np.int64)
            images = arm.images.add_images(rows, labels, repeated.repeats)
            half_arm = self._lend_tones(replace(arm, images=images), half)
            file, record = self.trainer.train_arm(half_arm, seed, f"{name}-half{half}")
            fits.append(ArmFit(file, images, half_arm.treatment))
            records.append(record)
        return SeedFits(seed, tuple(fits), _join_records(records))

    def _lend_tones(self, arm: TrainingArm, half: int) -> TrainingArm:
        """Return the arm with tones of the real images of a half, if it is targeted."""
        if self.real_images is None or not isinstance(arm.treatment, TargetedTreatment):
            return arm
        positions_by_slice = self.real_images.slice_positions[half]
        tone_images = {}
        for name, positions in positions_by_slice.items():
            tone_images[name] = np.asarray(self.pixels[self.val.image_rows[positions]])
        key = arm.treatment_key and compute_key(
            arm.treatment_key, list(positions_by_slice), hash_arrays(tone_images.values())
        )
        treatment = replace(arm.treatment, tone_images=tone_images)
        return replace(arm, treatment=treatment, treatment_key=key)

    def _judge_treatment(self, arm: TrainingArm, seed_count: int) -> StepOutcome:
        """Return the outcome of the remedies alone, without validation images in training."""
        utilities = []
        for seed in self.seeds[:seed_count]:
            file, record = self.trainer.train_arm(arm, seed, f"treatment-{seed}")
            fits = SeedFits(seed, (ArmFit(file, arm.images, arm.treatment),), record)
            utilities.append(self._create_mixer(arm).judge_seeds([fits], (1.0, 1.0)))
        return StepOutcome(LadderStep.TREATMENT, np.array(utilities))

    def _list_steps(self, mixed: MixedArm) -> list[StepOutcome]:
        first = LadderStep.REAL_IMAGES if self.real_images else LadderStep.TREATMENT
        steps = [StepOutcome(first, mixed.ladder["seeds"])]
        if len(mixed.ladder["seeds"]) > 1:
            steps.append(StepOutcome(LadderStep.AVERAGE, mixed.ladder["average"]))
        share = mixed.entries[0]["share"]
        return [*steps, StepOutcome(LadderStep.INTERPOLATION, mixed.ladder["mix"], share)]

    def _describe_real_images(self) -> dict[str, Any]:
        """Return counts by half, and the hashed groups that no longer judge these models."""
        if self.real_images is None:
            return {"halves": [], "groups": []}
        halves, positions = [], []
        for half, (targeted, random) in enumerate(
            zip(self.real_images.targeted, self.real_images.random, strict=True)
        ):
            halves.append(
                {
                    "images": len(targeted.positions),
                    "groups": len(np.unique(self.val.groups[targeted.positions])),
                    "shown": int(targeted.repeats.sum()),
                    "judged_by": int((self._halves != half).sum()),
                }
            )
            positions += [targeted.positions, random.positions]
        trained = np.unique(self.val.groups[np.concatenate(positions)])
        return {"halves": halves, "groups": sorted(set(hash_groups(trained).tolist()))}


def _join_records(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the record of several trainings of one seed: passes are summed, losses averaged."""
    history = []
    for half, record in enumerate(records):
        history += [{"split": f"half{half}", **row} for row in record["history"]]
    return {
        "passes": sum(record["passes"] for record in records),
        "reused": sum(record["is_reused"] for record in records),
        "rows": max(record["rows"] for record in records),
        "loss": float(np.mean([record["loss"] for record in records])),
        "history": history,
    }
