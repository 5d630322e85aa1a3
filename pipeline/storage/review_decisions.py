"""What reviewers decided in the report: slices accepted or muted, labels found wrong or right.

The report's page saves a `ReviewFile`; `nightshift review apply` takes it into `runs/review.json` (`Reviews`), where
the next run finds it: `evaluate` holds labels marked wrong to be wrong and no longer suspects those marked right, and
`report` sets muted slices aside. A photo is known by its image id, a slice by its rule without the numbers.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.contracts import InputError
from pipeline.storage.artifact_store import lock_file, write_text

REVIEW_FILE_NAME = "review.json"


ModelType = TypeVar("ModelType", bound=BaseModel)


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SliceReview(_StrictModel):
    """One slice's decision. key: `Rule.identity`."""

    key: str = Field(min_length=1, max_length=2000)
    words: str = Field("", max_length=2000)
    decision: Literal["accepted", "muted", ""] = ""
    note: str = Field("", max_length=2000)


class LabelReview(_StrictModel):
    """One photo's label: wrong (then `suggested` may name the right class) or right; or a mere note."""

    image_id: str = Field(min_length=1, max_length=200)
    path: str = Field("", max_length=4000)
    label: str = ""
    decision: Literal["wrong", "right", ""] = ""
    suggested: str = ""
    note: str = Field("", max_length=2000)


class ReviewFile(_StrictModel):
    """What the report's page saves."""

    review: Literal[1]
    run_id: str
    slices: list[SliceReview] = []
    labels: list[LabelReview] = []


class ReviewDecisions(_StrictModel):
    """All decisions in force, by slice key and by image id."""

    slices: dict[str, SliceReview] = {}
    labels: dict[str, LabelReview] = {}


def _parse_file(model: type[ModelType], path: Path) -> ModelType:
    try:
        return model.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(
            f"{path}: {where}: {first['msg']}; save it again from the report"
        ) from error


def read_decisions(home: Path) -> ReviewDecisions:
    """The decisions in force in a folder of runs; none where nobody has reviewed. Raises `InputError`."""
    path = home / REVIEW_FILE_NAME
    return _parse_file(ReviewDecisions, path) if path.exists() else ReviewDecisions()


def hash_decisions(home: Path, section: Literal["slices", "labels"] | None = None) -> str:
    """Hash of the decisions in force, or of one part of them: changes when one of them does."""
    reviews = read_decisions(home)
    chosen = getattr(reviews, section) if section else {**reviews.slices, **reviews.labels}
    text = "\n".join(chosen[key].model_dump_json() for key in sorted(chosen))
    return hashlib.sha256(text.encode()).hexdigest() if chosen else ""


def apply_review_file(home: Path, file: Path) -> ReviewFile:
    """Take the decisions of `file` into `home`, over earlier ones of the same slice or photo; an empty decision
    without a note takes the earlier one back. Raises `InputError` for a file that no report has saved."""
    new = _parse_file(ReviewFile, file)
    with lock_file(home / REVIEW_FILE_NAME):
        old = read_decisions(home)
        slices = {**old.slices, **{s.key: s for s in new.slices}}
        labels = {**old.labels, **{p.image_id: p for p in new.labels}}
        kept = ReviewDecisions(
            slices={k: s for k, s in slices.items() if s.decision or s.note},
            labels={k: p for k, p in labels.items() if p.decision or p.note},
        )
        write_text(home / REVIEW_FILE_NAME, kept.model_dump_json(indent=1))
    return new
