"""Prescriptions: what is done about the confirmed slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from pipeline.domain.statuses import PrescriptionKind


@dataclass(frozen=True)
class PrescribedTreatment:
    """Training images that get one remedy.

    Attributes:
        remedy: the plug-in.
        simulator: the simulator whose images are trained on instead; None if the training images
            are treated themselves.
        images: number of training images.
        strength_ranges: lowest and highest strength of each part of the plan.
        tone_share: share of the treated views that get the tones of real images of the slice in
            place of the remedy, where the training sees such images.
    """

    remedy: str
    simulator: str | None
    images: int
    strength_ranges: tuple[tuple[float, float], ...]
    tone_share: float = 0.0


@dataclass(frozen=True)
class PrescribedCorrection:
    """An intervention on arriving images, before they are predicted."""

    remedy: str
    strength: float


@dataclass(frozen=True)
class Prescription:
    """The remedy of one slice.

    Attributes:
        slice: its name.
        kind: the change of the training images.
        images: number of training images that the plan concerns.
        treatments: the parts of the plan.
        fit_auc: AUC of a classifier that separates treated images from the slice; None if unknown
            or if no image is treated.
        correction: the correction that helps on the validation set, or None.
        is_trained: whether the plan holds it; if not, it asks for images only, or the plan search
            left it out.
    """

    slice: str
    kind: PrescriptionKind
    images: int
    treatments: tuple[PrescribedTreatment, ...]
    fit_auc: float | None
    correction: PrescribedCorrection | None
    is_trained: bool

    def build_record(self) -> dict[str, Any]:
        """Return the prescription as JSON."""
        record: dict[str, Any] = _PRESCRIPTION.dump_python(self, mode="json")
        return record

    @classmethod
    def parse_record(cls, record: dict[str, Any]) -> Prescription:
        """Return the prescription that `build_record` wrote."""
        return _PRESCRIPTION.validate_python(record)


_PRESCRIPTION = TypeAdapter(Prescription)
