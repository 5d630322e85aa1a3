"""What reviewers decided in the report: slices accepted or muted, labels found wrong or right.

The report's page saves a `ReviewFile`; `nightshift review apply` takes it into `runs/review.json` (`Reviews`), where
the next run finds it: `evaluate` holds labels marked wrong to be wrong and no longer suspects those marked right, and
`report` sets muted slices aside. A photo is known by its image id, a slice by its rule without the numbers.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.contracts import InputError
from pipeline.remote import freshen, shared
from pipeline.store import write_text

FILE = "review.json"
_IN_NUMBERS = re.compile(r" \(in numbers: .*? of the others\)")
_NUMBER = re.compile(r"\b[0-9a-f]{12,}\b|(?<![\w-])[-+]?\d[\d.,:]*")


Model = TypeVar("Model", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SliceReview(_Strict):
    """One slice's decision. key: see `slice_key`."""

    key: str = Field(min_length=1, max_length=2000)
    words: str = Field("", max_length=2000)
    decision: Literal["accepted", "muted", ""] = ""
    note: str = Field("", max_length=2000)


class LabelReview(_Strict):
    """One photo's label: wrong (then `suggested` may name the right class) or right; or a mere note."""

    image_id: str = Field(min_length=1, max_length=200)
    path: str = Field("", max_length=4000)
    label: str = ""
    decision: Literal["wrong", "right", ""] = ""
    suggested: str = ""
    note: str = Field("", max_length=2000)


class ReviewFile(_Strict):
    """What the report's page saves."""

    review: Literal[1]
    run_id: str
    slices: list[SliceReview] = []
    labels: list[LabelReview] = []


class Reviews(_Strict):
    """All decisions in force, by slice key and by image id."""

    slices: dict[str, SliceReview] = {}
    labels: dict[str, LabelReview] = {}


def slice_key(rule: str) -> str:
    """A slice's rule without its numbers and photo ids, by which it is known again in another run."""
    return " ".join(_NUMBER.sub("#", _IN_NUMBERS.sub("", rule)).split())


def _parsed(model: type[Model], path: Path) -> Model:
    try:
        return model.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{path}: {where}: {first['msg']}; save it again from the report") from error


def read(home: Path) -> Reviews:
    """The decisions in force in a folder of runs; none where nobody has reviewed. Raises `InputError`."""
    path = home / FILE
    freshen(path)
    return _parsed(Reviews, path) if path.exists() else Reviews()


def digest(home: Path, part: Literal["slices", "labels"] | None = None) -> str:
    """Hash of the decisions in force, or of one part of them: changes when one of them does."""
    reviews = read(home)
    chosen = getattr(reviews, part) if part else {**reviews.slices, **reviews.labels}
    text = "\n".join(chosen[key].model_dump_json() for key in sorted(chosen))
    return hashlib.sha256(text.encode()).hexdigest() if chosen else ""


def apply(home: Path, file: Path) -> ReviewFile:
    """Take the decisions of `file` into `home`, over earlier ones of the same slice or photo; an empty decision
    without a note takes the earlier one back. Raises `InputError` for a file that no report has saved."""
    new = _parsed(ReviewFile, file)
    with shared(home / FILE):
        old = read(home)
        slices = {**old.slices, **{s.key: s for s in new.slices}}
        labels = {**old.labels, **{p.image_id: p for p in new.labels}}
        kept = Reviews(
            slices={k: s for k, s in slices.items() if s.decision or s.note},
            labels={k: p for k, p in labels.items() if p.decision or p.note},
        )
        write_text(home / FILE, kept.model_dump_json(indent=1))
    return new
