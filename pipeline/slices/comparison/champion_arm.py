"""The champion in force as an arm of the comparison, whichever run made it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.contracts import InputError, StageContext
from pipeline.domain.statuses import ChampionStatus
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import load_model
from pipeline.slices.tracking.slice_matching import hash_groups
from pipeline.statistics.model_comparison import ModelOutput
from pipeline.storage import champion_registry
from pipeline.storage.artifact_store import hash_content
from pipeline.storage.bundle_record import SEEN_GROUPS_KEY

CHAMPION_ARM = "champion"
WEIGHTS_FILE = "model.safetensors"
IMAGES_PER_CHUNK = 4096


@dataclass(frozen=True)
class ChampionArm:
    """The champion in force when the run began.

    Attributes:
        status: whether it can be compared.
        run_id: the run that made it; None without a champion.
        folder: its bundle; None if it cannot be compared.
        seen_groups: hashed groups of validation images that it was trained on.
    """

    status: ChampionStatus
    run_id: str | None = None
    folder: Path | None = None
    seen_groups: frozenset[str] = frozenset()

    def has_seen(self, groups: NDArray[np.str_]) -> bool:
        """Return whether it was trained on a validation image of any of these groups."""
        return bool(self.seen_groups) and not self.seen_groups.isdisjoint(hash_groups(groups))

    def build_record(self) -> dict[str, Any]:
        """Return the status and the run as JSON."""
        return {"status": self.status, "run_id": self.run_id}

    def predict(
        self, pixels: NDArray[np.uint8], rows: NDArray[np.intp], context: StageContext
    ) -> list[ModelOutput]:
        """Return the champion's predictions on some rows, or nothing if it cannot be compared.

        Images are reduced to the size that it reads.

        Args:
            pixels: uint8 [images, side, side, 3].
            rows: rows of `pixels`.
            context: progress.
        """
        if self.status != ChampionStatus.COMPARED or self.folder is None:
            return []
        model, meta = load_model(self.folder)
        starts = range(0, len(rows), IMAGES_PER_CHUNK)
        parts = []
        for start in context.track_progress(
            starts, total=len(starts), unit="parts by the champion"
        ):
            chunk = np.asarray(pixels[rows[start : start + IMAGES_PER_CHUNK]])
            parts.append(compute_logits(model, _reduce_images(chunk, int(meta["side"])), meta))
        logits = np.concatenate(parts)
        return [ModelOutput(CHAMPION_ARM, None, logits, float(meta.get("temperature") or 1.0))]


def find_champion_arm(
    context: StageContext, model_folder: Path, class_names: list[str], side: int
) -> ChampionArm:
    """Return the champion in force when the run began, and whether it can be compared.

    Args:
        context: names the run and the folder of all runs.
        model_folder: folder of the run's baseline.
        class_names: classes of the data.
        side: side of the images, in pixels.
    """
    pointer = champion_registry.read_recorded_champion(context.runs_folder / context.run_id)
    if not pointer or pointer["run_id"] == context.run_id:
        return ChampionArm(ChampionStatus.NONE)
    run_id = str(pointer["run_id"])
    try:
        folder = champion_registry.find_bundle(context.runs_folder, pointer)
        assert folder is not None  # there is a pointer
        _, meta = load_model(folder)
    except InputError:
        return ChampionArm(ChampionStatus.MISSING, run_id)
    if hash_content(folder / WEIGHTS_FILE) == hash_content(model_folder / WEIGHTS_FILE):
        return ChampionArm(ChampionStatus.IS_BASELINE, run_id)
    if list(meta["classes"]) != class_names:
        return ChampionArm(ChampionStatus.OTHER_CLASSES, run_id)
    if int(meta["side"]) > side:
        return ChampionArm(ChampionStatus.OTHER_SIZE, run_id)
    seen_groups = frozenset(meta.get(SEEN_GROUPS_KEY) or ())
    return ChampionArm(ChampionStatus.COMPARED, run_id, folder, seen_groups)


def _reduce_images(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return images [n, S, S, 3] at a smaller side, as decoding reduces them."""
    if pixels.shape[1] == side:
        return pixels
    reduced = [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in pixels]
    return np.array(reduced, dtype=np.uint8).reshape(-1, side, side, 3)
