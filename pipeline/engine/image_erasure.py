"""Erasure of images from the pixels, tables and pages of every run, by a journal.

The weights of a model keep what it learned from an image. Its attributes stay, without its id, in
the profile of the model's data, and the hash of its group in the ledger of test openings. The
image's own file is not deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.contracts import InputError, RunBusyError
from pipeline.engine import change_detection, published_pages, run_publishing, runner
from pipeline.engine.erasure_journal import JOURNAL_FILE, ErasureJournal, PendingRun, read_journal
from pipeline.engine.progress_reporting import log_line
from pipeline.engine.stage_erasure import ErasedImages, erase_from_stages
from pipeline.graph import STAGES
from pipeline.storage import artifact_store, review_decisions, stage_swaps
from pipeline.storage.artifact_store import RunFolder, lock_file
from pipeline.storage.atomic_files import TEMPORARY_PREFIX
from pipeline.storage.stage_swaps import SCRATCH_PREFIX, STAGING_PREFIX, remove_folder

_IMAGE_SCRATCH = (f"{SCRATCH_PREFIX}ingest-*", f"{SCRATCH_PREFIX}report-*", f"{STAGING_PREFIX}*")
"""Unfinished outputs that may show an image though no table of the run names it."""


@dataclass(frozen=True)
class ErasedRun:
    """What an erasure did with one run.

    Attributes:
        run_id: the run.
        count: number of images that were erased from it.
        problem: why it was not looked at; empty if it was.
        is_busy: whether a later call may succeed.
    """

    run_id: str
    count: int
    problem: str = ""
    is_busy: bool = False


def erase_from_all_runs(
    runs_folder: Path, ids_or_paths: Sequence[str], log: Callable[[str], None] = log_line
) -> Iterator[ErasedRun]:
    """Erase images from all runs, render their pages again, and yield the outcome of each run.

    Images of an interrupted erasure are erased too. The journal is removed at the end, unless a run
    is at work.

    Args:
        runs_folder: folder of all runs.
        ids_or_paths: image ids, or paths within the data set; none for an interrupted erasure.
        log: receives a line on each page that cannot be rendered again.

    Raises:
        InputError: no run has an image of that id or path; then nothing is changed.
    """
    with lock_file(runs_folder / JOURNAL_FILE):
        for leftover in runs_folder.glob(f"{TEMPORARY_PREFIX}{JOURNAL_FILE}.*"):
            leftover.unlink()  # a journal that a kill left half written
        journal = _open_journal(runs_folder, ids_or_paths)
        erase_review_labels(runs_folder, journal.images)
        change_detection.drop_file_names(runs_folder, journal.images.paths)
        is_complete = True
        for folder in list_run_folders(runs_folder):
            erased = _erase_from_folder(folder, journal, log)
            is_complete &= not erased.is_busy
            yield erased
            if not erased.problem and journal.pending.pop(erased.run_id, None) is not None:
                journal.save(runs_folder)
        is_complete &= _erase_outside_runs(runs_folder, journal.images, log)
        if is_complete:
            (runs_folder / JOURNAL_FILE).unlink()


def _open_journal(runs_folder: Path, ids_or_paths: Sequence[str]) -> ErasureJournal:
    """Return the journal with the images of an interrupted erasure and of this one, on the disk."""
    journal = read_journal(runs_folder)
    known = journal.images.names
    new_names = [name for name in ids_or_paths if name not in known]
    if not new_names and not known:
        raise InputError(f"{runs_folder}: no erasure was interrupted; name the images to erase")
    found = find_images(map(RunFolder, list_run_folders(runs_folder)), new_names)
    journal.ids = sorted(journal.images.ids | found.ids)
    journal.paths = sorted(journal.images.paths | found.paths)
    journal.save(runs_folder)
    return journal


def list_run_folders(runs_folder: Path) -> list[Path]:
    """Return every folder that is or was a run, also with a damaged record, oldest name first."""
    stage_names = [stage.name for stage in STAGES]
    folders = []
    for path in sorted(runs_folder.glob("*/")):
        has_stage = any((path / name).is_dir() for name in stage_names)
        has_work = any(path.glob(f"{SCRATCH_PREFIX}*")) or any(path.glob(f"{STAGING_PREFIX}*"))
        is_hidden = path.name.startswith(".")
        if not is_hidden and (has_stage or has_work or (path / "run.json").exists()):
            folders.append(path)
    return folders


def find_images(runs: Iterable[RunFolder], ids_or_paths: Sequence[str]) -> ErasedImages:
    """Return the images with these ids or relative paths, over all runs with a readable table.

    Raises:
        InputError: no run has an image of that id or path.
    """
    tables = [pd.DataFrame(columns=["image_id", "path"])]
    for run in runs:
        try:
            tables.append(run.load_artifact("images")[["image_id", "path"]])
        except (InputError, KeyError):  # `_erase_from_folder` reports it
            continue
    known = pd.concat(tables).drop_duplicates().astype(str)
    for name in ids_or_paths:
        if not known.isin([name]).any(axis=None):
            raise InputError(
                f"{name}: no run has an image of this id or path; "
                "the file images.parquet of a report lists them"
            )
    erased = known[known.isin(ids_or_paths).any(axis=1)]
    return ErasedImages(frozenset(erased["image_id"]), frozenset(erased["path"]))


def _erase_from_folder(
    folder: Path, journal: ErasureJournal, log: Callable[[str], None]
) -> ErasedRun:
    """Erase the journal's images from one run, whatever state it is in."""
    run = RunFolder(folder)
    try:
        with run.hold_lock():
            _remove_unfinished(run)
            pending = journal.pending.get(run.run_id) or _note_pending(run, journal)
            count = erase_from_stages(run, journal.images)
            pages = published_pages.list_pages(folder.parent, run.run_id)
            is_shown = any(published_pages.has_image(page, journal.images.names) for page in pages)
            if not count and not is_shown and run.run_id not in journal.pending:
                return ErasedRun(run.run_id, 0)
            stage_swaps.remove_leftovers(folder)
            _renew_page(run, pending, log)
            return ErasedRun(run.run_id, max(count, pending.count))
    except RunBusyError as error:
        return ErasedRun(run.run_id, 0, str(error), is_busy=True)
    except (InputError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return ErasedRun(run.run_id, 0, f"{reason}; repair or remove it, and call again")


def _remove_unfinished(run: RunFolder) -> None:
    """Remove what a killed process left in a run and what may show an image."""
    for pattern in (*_IMAGE_SCRATCH, f"{TEMPORARY_PREFIX}*"):
        for path in run.path.glob(pattern):
            remove_folder(path)
    for stage in STAGES:  # what a kill left of a removal
        folder = run.path / stage.name
        if folder.is_dir() and not (folder / "stage.json").is_file():
            remove_folder(folder)
    if not (run.path / STAGES[0].name / "stage.json").is_file():
        stage_swaps.remove_leftovers(run.path)


def _note_pending(run: RunFolder, journal: ErasureJournal) -> PendingRun:
    """Return the run's entry; it is written into the journal if the run has one of the images."""
    count = 0
    if run.get_artifact_path("images").is_file():
        ids = run.load_artifact("images")["image_id"].astype(str)
        count = int(ids.isin(journal.images.ids).sum())
    pages = published_pages.list_pages(run.path.parent, run.run_id)
    pending = PendingRun(
        count=count,
        has_page=run.get_artifact_path("html").exists(),
        reports_folders=[str(page.parent) for page in pages],
    )
    if count:
        journal.pending[run.run_id] = pending
        journal.save(run.path.parent)
    return pending


def _renew_page(run: RunFolder, pending: PendingRun, log: Callable[[str], None]) -> None:
    """Remove the published pages of a run, render its page again, and publish it where it was."""
    for folder in pending.reports_folders:
        published_pages.remove_page(Path(folder) / run.run_id)
    if not pending.has_page:
        return
    try:
        settings = runner.load_config(run.path / "config.yaml")
        runner.run_stage(run, settings, "report")
    except InputError as error:
        log(f"{run.run_id}: its page is removed and cannot be rendered again: {error}")
        return
    for folder in pending.reports_folders:
        run_publishing.publish_report(run, Path(folder))


def erase_review_labels(runs_folder: Path, erased_images: ErasedImages) -> None:
    """Erase the images from the reviewers' decisions."""
    path = runs_folder / review_decisions.REVIEW_FILE_NAME
    with lock_file(path):
        for leftover in runs_folder.glob(f"{TEMPORARY_PREFIX}{path.name}.*"):
            leftover.unlink()
        if not path.exists():
            return
        decisions = review_decisions.read_decisions(runs_folder)
        labels = {}
        for image_id, review in decisions.labels.items():
            if image_id not in erased_images.ids and review.path not in erased_images.paths:
                labels[image_id] = review
        if labels != decisions.labels:
            kept = decisions.model_copy(update={"labels": labels})
            artifact_store.write_text(path, kept.model_dump_json(indent=1))


def _erase_outside_runs(
    runs_folder: Path, erased_images: ErasedImages, log: Callable[[str], None]
) -> bool:
    """Erase the images from pages whose run is gone, and from what killed commands left.

    Returns:
        False if another process still downloads a run.
    """
    run_ids = {path.name for path in list_run_folders(runs_folder)}
    for page in published_pages.list_all_pages(runs_folder):
        if page.name not in run_ids and published_pages.has_image(page, erased_images.names):
            published_pages.remove_page(page)
            log(f"{page}: removed, since its run is gone and it had one of the images")
    return published_pages.remove_leftovers(runs_folder, log)
