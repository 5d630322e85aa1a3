"""`bundle.json`: a model in force with its rules, corrections and decline rule."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from pipeline.contracts import InputError
from pipeline.storage.artifact_store import read_json

RECORD_FILE = "bundle.json"
FORMAT_KEY = "bundle_format"
BUNDLE_FORMAT = 2
"""Version of the record. Nightshift 0.1 wrote none; its attributes have other names."""
SEEN_GROUPS_KEY = "seen_groups"
"""Hashed groups of validation images that the model was trained on; absent for none."""

MAX_SIDE = 4096
"""Longest side of a model's images, in pixels; a larger one would fill the memory."""


def check_bundle_format(record: Mapping[str, Any], origin: str) -> None:
    """Raise `InputError` unless this version can read a bundle's record.

    Args:
        record: the record, or the copy of it in an exported model.
        origin: its file, as the error message names it.
    """
    if record.get(FORMAT_KEY) != BUNDLE_FORMAT:
        raise InputError(
            f"{origin}: a model of another version of nightshift (bundle format "
            f"{record.get(FORMAT_KEY, 1)}, this one reads {BUNDLE_FORMAT}); train it again, "
            "or use that version"
        )


_FiniteNumber = Annotated[float, Field(allow_inf_nan=False)]
_PositiveNumber = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Index = Annotated[int, Field(ge=0)]


class _Correction(BaseModel):
    """A change of the images of a slice before they are predicted."""

    slice: str
    remedy: str
    strength: float = Field(allow_inf_nan=False)
    words: str


class _Decline(BaseModel):
    """When an image is not answered."""

    threshold: float | None = Field(allow_inf_nan=False)
    light: float | None = Field(None, allow_inf_nan=False)


class _Policy(BaseModel):
    """What is done to an image beside its prediction."""

    decline: _Decline
    corrections: list[_Correction]


class _SliceRule(BaseModel):
    """A slice and its rule as JSON."""

    slice: str
    rule: str


class _GraphCorrection(BaseModel):
    """A correction of an exported graph."""

    words: str
    when: str
    is_carried: bool


class _Graph(BaseModel):
    """What an exported graph holds."""

    corrections: list[_GraphCorrection]


class _BundleRecord(BaseModel):
    """The fields of a record that are used; others are kept as they are."""

    run_id: str
    classes: list[str] = Field(min_length=1)
    side: int = Field(ge=1, le=MAX_SIDE)
    temperature: float | None = Field(None, gt=0, allow_inf_nan=False)
    policy: _Policy
    slices: list[_SliceRule]
    graph: _Graph | None = None


class _ReferenceRecord(BaseModel):
    """The fields of a bundle with which arriving data are compared."""

    run_id: str
    slices: list[_SliceRule]
    reference: dict[str, Any]


class _ModelRecord(BaseModel):
    """The fields of a network's description that are used."""

    backbone: str
    classes: list[str] = Field(min_length=1)
    side: int = Field(ge=1, le=MAX_SIDE)
    mean: list[_FiniteNumber] = Field(min_length=3, max_length=3)
    std: list[_PositiveNumber] = Field(min_length=3, max_length=3)
    order: list[_Index] | None = None
    dropout: float = Field(0.0, ge=0, lt=1)
    temperature: float | None = Field(None, gt=0, allow_inf_nan=False)


def _check_fields(model: type[BaseModel], record: Any, origin: str) -> None:
    try:
        model.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(
            f"{origin}: not the description of a model ({key}: {first['msg']}); "
            "make the model again"
        ) from error


def check_model_fields(record: Any, origin: str) -> None:
    """Raise `InputError` unless a record describes a network.

    Args:
        record: `model.json`, or `bundle.json` of a promoted model.
        origin: its file, as the error message names it.
    """
    _check_fields(_ModelRecord, record, origin)


def check_reference_fields(record: Any, origin: str) -> None:
    """Raise `InputError` unless a bundle's record has the fields to compare arriving data with.

    Args:
        record: the record.
        origin: its file, as the error message names it.
    """
    _check_fields(_ReferenceRecord, record, origin)


def check_bundle_fields(record: Mapping[str, Any], origin: str) -> None:
    """Raise `InputError` unless a record has the fields with which a model predicts.

    Args:
        record: the record, or the copy of it in an exported model.
        origin: its file, as the error message names it.
    """
    _check_fields(_BundleRecord, record, origin)


def read_bundle_record(folder: Path) -> dict[str, Any]:
    """Return the record of the bundle in `folder`.

    Raises:
        InputError: the record cannot be read, or it is of another version.
    """
    path = folder / RECORD_FILE
    record = read_json(path)
    if not isinstance(record, dict):
        raise InputError(f"{path}: not the record of a bundle; make the model again")
    check_bundle_format(record, str(path))
    return record
