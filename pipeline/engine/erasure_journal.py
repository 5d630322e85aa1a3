"""The journal of an erasure: the images to erase, written before anything is changed.

The remaining work is read from here and not from the tables, which an interrupted erasure has
changed. Every later `nightshift runs forget` completes it. The journal names the images, so its
removal is the last step.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.contracts import InputError
from pipeline.engine.stage_erasure import ErasedImages
from pipeline.storage.atomic_files import read_json, write_text

JOURNAL_FILE = "forget.json"


class PendingRun(BaseModel):
    """A run that is being changed.

    Attributes:
        count: number of its images to erase.
        has_page: whether it had the stage `report`.
        reports_folders: folders that hold its published page.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int
    has_page: bool
    reports_folders: list[str]


class ErasureJournal(BaseModel):
    """An erasure that is not complete.

    Attributes:
        ids: image ids.
        paths: paths within the data set.
        pending: runs whose change has begun, by id.
    """

    model_config = ConfigDict(extra="forbid")

    ids: list[str] = []
    paths: list[str] = []
    pending: dict[str, PendingRun] = {}

    @property
    def images(self) -> ErasedImages:
        """Return the images to erase."""
        return ErasedImages(frozenset(self.ids), frozenset(self.paths))

    def save(self, runs_folder: Path) -> None:
        """Write the journal atomically."""
        write_text(runs_folder / JOURNAL_FILE, self.model_dump_json(indent=1))


def read_journal(runs_folder: Path) -> ErasureJournal:
    """Return the journal of an interrupted erasure, or an empty one.

    Raises:
        InputError: it is damaged.
    """
    path = runs_folder / JOURNAL_FILE
    if not path.is_file():
        return ErasureJournal()
    remedy = "remove it, and name the images again"
    try:
        return ErasureJournal.model_validate(read_json(path, remedy))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {key}: {first['msg']}; {remedy}") from error
