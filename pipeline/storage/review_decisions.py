"""Decisions of reviewers: slices accepted or muted, labels wrong or right, images unreadable.

The report's page saves a `ReviewFile`. `nightshift review apply` merges it into `runs/review.json`
(`ReviewDecisions`), and the next run reads that. `evaluate` treats labels marked wrong, and those
of unreadable images, as in doubt, and no longer suspects those marked right. `report` lists muted
slices separately. An image is identified by its image id, a slice by its rule with the numbers. A
later run finds a slice again by the images that both rules admit
(`pipeline.report.reviewing.slice_reviews`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.contracts import InputError
from pipeline.storage.artifact_store import RunFolder, lock_file, read_json, write_text
from pipeline.storage.user_files import MAX_RECORD_BYTES, check_user_file

PLAIN_NAME_PATTERN = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$"
"""A run's name: it stays in the folder of runs, and prints as it is."""
REVIEW_FILE_NAME = "review.json"
MAX_TEXT_LENGTH = 2000  # characters of a key, of words and of a note
ModelType = TypeVar("ModelType", bound=BaseModel)


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SliceReview(_StrictModel):
    """The decision on one slice.

    Attributes:
        key: the rule in words, with its numbers.
        words: the slice in words.
        rule: the frozen rule as JSON; empty in a file of an older page.
        decision: empty for a note alone.
        note: the reviewer's note.
    """

    key: str = Field(min_length=1, max_length=MAX_TEXT_LENGTH)
    words: str = Field("", max_length=MAX_TEXT_LENGTH)
    rule: str = Field("", max_length=20_000)
    decision: Literal["accepted", "muted", ""] = ""
    note: str = Field("", max_length=MAX_TEXT_LENGTH)


class LabelReview(_StrictModel):
    """The decision on the label of one image.

    Attributes:
        image_id: the image.
        path: its path within the data set.
        label: the label that was judged.
        decision: `unreadable` if the image shows too little to judge; empty for a note alone.
        suggested: the right class of a wrong label, if it is known.
        note: the reviewer's note.
    """

    image_id: str = Field(min_length=1, max_length=200)
    path: str = Field("", max_length=4000)
    label: str = Field("", max_length=MAX_TEXT_LENGTH)
    decision: Literal["wrong", "right", "unreadable", ""] = ""
    suggested: str = Field("", max_length=MAX_TEXT_LENGTH)
    note: str = Field("", max_length=MAX_TEXT_LENGTH)


class ReviewFile(_StrictModel):
    """The file that the report's page saves."""

    review: Literal[1]
    run_id: str = Field(pattern=PLAIN_NAME_PATTERN)
    slices: list[SliceReview] = []
    labels: list[LabelReview] = []


class ReviewDecisions(_StrictModel):
    """All decisions in force, by slice key and by image id."""

    slices: dict[str, SliceReview] = {}
    labels: dict[str, LabelReview] = {}


def _parse_file(model: type[ModelType], path: Path) -> ModelType:
    check_user_file(path, MAX_RECORD_BYTES, "decisions of reviewers")
    try:
        return model.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(f"{path}: {key}: {first['msg']}; save it again from the report") from error


def read_decisions(runs_folder: Path) -> ReviewDecisions:
    """Return the decisions in force in a folder of runs; empty before the first review.

    Raises:
        InputError: the file cannot be read.
    """
    path = runs_folder / REVIEW_FILE_NAME
    return _parse_file(ReviewDecisions, path) if path.exists() else ReviewDecisions()


def hash_decisions(runs_folder: Path, section: Literal["slices", "labels"] | None = None) -> str:
    """Return a hash of the decisions in force; empty if there are none.

    Args:
        runs_folder: folder of all runs.
        section: the part to hash; None for both.
    """
    reviews = read_decisions(runs_folder)
    selected = getattr(reviews, section) if section else {**reviews.slices, **reviews.labels}
    text = "\n".join(selected[key].model_dump_json() for key in sorted(selected))
    return hashlib.sha256(text.encode()).hexdigest() if selected else ""


def _check_classes(runs_folder: Path, review: ReviewFile, file: Path) -> None:
    """Raise `InputError` if a suggested class is none of the run's; a run that is gone has none."""
    path = RunFolder(runs_folder / review.run_id).get_artifact_path("classes")
    if not path.is_file():
        return
    known = set(map(str, read_json(path)["names"]))
    for label_review in review.labels:
        if label_review.suggested and label_review.suggested not in known:
            raise InputError(
                f"{file}: {label_review.suggested[:80]!a} is no class of {review.run_id}; "
                f"there are: {', '.join(sorted(known)[:20])}"
            )


def apply_review_file(runs_folder: Path, file: Path) -> ReviewFile:
    """Merge the decisions of `file` into `runs_folder`, and return the parsed file.

    A decision replaces an earlier one on the same slice or image. An empty decision without a note
    withdraws the earlier one.

    Raises:
        InputError: the file was not saved by a report, or names a class that its run does not have.
    """
    review = _parse_file(ReviewFile, file)
    _check_classes(runs_folder, review, file)
    with lock_file(runs_folder / REVIEW_FILE_NAME):
        decisions = read_decisions(runs_folder)
        slices = dict(decisions.slices)
        labels = dict(decisions.labels)
        for slice_review in review.slices:
            slices.pop(slice_review.key, None)
            if slice_review.decision or slice_review.note:
                slices[slice_review.key] = slice_review
        for label_review in review.labels:
            labels.pop(label_review.image_id, None)
            if label_review.decision or label_review.note:
                labels[label_review.image_id] = label_review
        merged = ReviewDecisions(slices=slices, labels=labels)
        write_text(runs_folder / REVIEW_FILE_NAME, merged.model_dump_json(indent=1))
    return review
