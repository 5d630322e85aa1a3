"""Arms as they are compared and shipped: seeds averaged, and interpolated with the model before.

How far each arm goes is chosen on validation images that its models were not trained on. For the
images of one half it is chosen on the other half, so that no image is judged by a choice that it
took part in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pipeline.learning.batches.batch_sampling import ArraySubset, BatchTreatment, TrainingImages
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.inference.temperature_scaling import fit_temperature
from pipeline.learning.models.backbone import ModelMetadata, save_model
from pipeline.learning.models.weight_mixing import WeightMix
from pipeline.learning.training.arm_training import TrainingArm
from pipeline.learning.training.batch_statistics import recompute_statistics
from pipeline.statistics.gains.share_choice import Mask, choose_share

SHARES = (0.4, 0.7, 1.0)
"""Shares of the way from the model before that are tried."""
STATISTICS_SEED = 0  # seed of the images of batch norm's statistics, the same for every mix
Utilities = NDArray[np.float64]


@dataclass(frozen=True)
class ArmFit:
    """One training of an arm.

    Attributes:
        file: its weights.
        images: the images that it was trained on.
        treatment: what was done to them, or None.
    """

    file: Path
    images: TrainingImages
    treatment: BatchTreatment | None


@dataclass(frozen=True)
class SeedFits:
    """The trainings of one arm with one seed.

    Attributes:
        seed: the seed.
        fits: each training. With two, the first was trained on validation images of half 0 too, the
            second on images of half 1; a single one saw no validation image.
        record: what `candidates.json` keeps of them.
    """

    seed: int
    fits: tuple[ArmFit, ...]
    record: Mapping[str, Any]

    def select_unseen(self, half: int) -> ArmFit:
        """Return the training that saw no validation image of a half."""
        return self.fits[(1 - half) % len(self.fits)]


@dataclass(frozen=True)
class JudgingImages:
    """Validation images that shares are chosen on.

    Attributes:
        pixels: uint8 [n, S, S, 3].
        halves: half of each image, [n].
        groups: group of each image, [n].
        parts: parts with equal weight, bool [n] each.
        compute_utilities: class indices [n] to utilities float64 [n].
    """

    pixels: ArraySubset
    halves: NDArray[np.intp]
    groups: NDArray[np.str_]
    parts: Sequence[Mask]
    compute_utilities: Callable[[NDArray[np.intp]], Utilities]

    def select_half(self, half: int) -> ArraySubset:
        """Return the pixels of a half."""
        rows = self.pixels.row_indices[self.halves == half]
        return ArraySubset(self.pixels.array, rows)


@dataclass(frozen=True)
class MixedArm:
    """An arm as it is compared.

    Attributes:
        entries: entries of `candidates.json`: the average of all seeds first, if there are several,
            then each seed.
        ladder: utilities on validation, by unseen models, float64 [models, n]: `seeds`, each as it
            was trained; `average`, the average of the seeds; `mix`, at the chosen share.
    """

    entries: list[dict[str, Any]]
    ladder: dict[str, Utilities]


@dataclass(frozen=True)
class ArmMixer:
    """Averages the seeds of one arm and interpolates them with the model before.

    Attributes:
        arm: the arm.
        model_folder: the model before.
        output_folder: folder of the candidates' weights.
        judging: validation images that shares are chosen on.
        holdout_images: training images for the temperature.
    """

    arm: TrainingArm
    model_folder: Path
    output_folder: Path
    judging: JudgingImages
    holdout_images: TrainingImages

    def mix_seeds(self, seeds: Sequence[SeedFits]) -> MixedArm:
        """Return the arm's entries, whose weights are written.

        Args:
            seeds: the trainings of each seed.
        """
        judged = {share: self.judge_seeds(seeds, (share, share)) for share in SHARES}
        parts, halves = self.judging.parts, self.judging.halves
        groups = self.judging.groups
        share = choose_share(judged, parts, np.ones(len(halves), dtype=np.bool_), groups)
        unseen_shares = (
            choose_share(judged, parts, halves == 1, groups),
            choose_share(judged, parts, halves == 0, groups),
        )
        entries = []
        if len(seeds) > 1:
            average: dict[str, Any] = {
                "seed": None,
                "passes": None,
                "rows": None,
                "loss": None,
                "history": [],
            }
            name = self.arm.name
            entries.append(self._write_entry(name, seeds, share, unseen_shares) | average)
        for seed in seeds:
            name = f"{self.arm.name}-{seed.seed}"
            entry = self._write_entry(name, [seed], share, unseen_shares)
            entries.append({**entry, "seed": seed.seed, **seed.record})
        alone = [judged[1.0]]
        if len(seeds) > 1:
            alone = [self.judge_seeds([seed], (1.0, 1.0)) for seed in seeds]
        mixed = np.where(halves == 0, judged[unseen_shares[0]], judged[unseen_shares[1]])
        ladder = {"seeds": np.array(alone), "average": judged[1.0][None], "mix": mixed[None]}
        return MixedArm(entries, ladder)

    def judge_seeds(self, seeds: Sequence[SeedFits], shares: tuple[float, float]) -> Utilities:
        """Return float64 [n]: utilities of the average of the trainings that saw no such image.

        Args:
            seeds: the trainings of each seed.
            shares: by half, how far the average is from the model before.
        """
        predictions = np.zeros(len(self.judging.halves), dtype=np.intp)
        for half in (0, 1):
            model, meta = self._mix([seed.select_unseen(half) for seed in seeds], shares[half])
            logits = compute_logits(model, self.judging.select_half(half), meta)
            predictions[self.judging.halves == half] = logits.argmax(1)
        return self.judging.compute_utilities(predictions)

    def _mix(self, fits: Sequence[ArmFit], share: float) -> tuple[nn.Module, ModelMetadata]:
        """Return the average of trainings at a share of the way from the model before."""
        mix = WeightMix(
            self.model_folder / "model.safetensors", tuple(fit.file for fit in fits), share
        )
        model, meta = mix.load_model(self.model_folder)
        if len(fits) == 1 and share == 1:
            return model, meta
        if not self.arm.is_head_only:  # else the statistics are those of the model before
            images = fits[0].images
            for fit in fits[1:]:
                images = images.add_images(fit.images.image_rows, fit.images.labels)
            # Trainings differ in the images that lend their tones only; those of one suffice.
            recompute_statistics(model, meta, images, fits[0].treatment, STATISTICS_SEED)
        return model, meta

    def _write_entry(
        self, name: str, seeds: Sequence[SeedFits], share: float, unseen_shares: tuple[float, float]
    ) -> dict[str, Any]:
        """Write the mix of all trainings, and for each half that of those that did not see it."""
        model, meta = self._mix([fit for seed in seeds for fit in seed.fits], share)
        temperature = float(meta.get("temperature") or 1.0)
        if self.holdout_images:
            logits = compute_logits(model, self.holdout_images.load_pixels(), meta)
            temperature = fit_temperature(logits, self.holdout_images.labels)
        save_model(self.output_folder, model, meta, f"{name}.safetensors")
        is_seeing = len(seeds[0].fits) > 1
        unseen = []
        for half, unseen_share in enumerate(unseen_shares):
            if not is_seeing and unseen_share == share:
                unseen.append(f"{name}.safetensors")
                continue
            unseen.append(f"{name}-half{half}.safetensors")
            unseen_fits = [seed.select_unseen(half) for seed in seeds]
            save_model(
                self.output_folder, self._mix(unseen_fits, unseen_share)[0], meta, unseen[half]
            )
        return {
            "arm": self.arm.name,
            "file": f"{name}.safetensors",
            "unseen": unseen,
            "share": share,
            "unseen_shares": list(unseen_shares),
            "temperature": temperature,
        }
