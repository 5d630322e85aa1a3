"""Erasure of images from the pixels, tables and pages of every run.

The weights of a model keep what it learned from an image. Its attributes stay, without its id, in
the profile of the model's data. The image's own file is not deleted.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contracts import (
    ArrayContract,
    FolderContract,
    InputError,
    ObjectContract,
    TableContract,
)
from pipeline.engine import run_publishing, runner
from pipeline.graph import ARTIFACT_CONTRACTS, STAGES, get_stage
from pipeline.storage import artifact_store, review_decisions
from pipeline.storage.artifact_store import RunFolder

RowMask = NDArray[np.bool_]
_ID_COLUMNS = ("image_id", "other_id")
_ROWS_PER_CHUNK = 4096
"""Rows of an array held in memory at once: 200 MB at 128 px."""


@dataclass(frozen=True)
class ErasedImages:
    """The images to erase.

    Attributes:
        ids: their image ids.
        paths: their paths within the data set.
    """

    ids: frozenset[str]
    paths: frozenset[str]


def erase_from_all_runs(
    runs_folder: Path, ids_or_paths: Sequence[str]
) -> Iterator[tuple[str, int]]:
    """Erase images from all runs of a folder, render their pages again, and yield counts.

    Args:
        runs_folder: folder of all runs.
        ids_or_paths: image ids, or paths within the data set.

    Yields:
        For each run its id and the number of images that were erased from it.

    Raises:
        InputError: no run has an image of that id or path; then nothing is changed.
    """
    runs = artifact_store.list_runs(runs_folder)
    images = find_images(runs, ids_or_paths)
    erase_review_labels(runs_folder, images)
    for run in runs:
        settings = runner.load_config(run.path / "config.yaml")
        with runner.hold_run_lock(run):
            has_page = run.get_artifact_path("html").exists()
            count = erase_from_run(run, images, settings.general.reports)
            if count and has_page:
                runner.run_stage(run, settings, "report")
                run_publishing.publish_report(run, settings.general.reports)
        yield run.run_id, count


def find_images(runs: Iterable[RunFolder], ids_or_paths: Sequence[str]) -> ErasedImages:
    """Return the images with these ids or relative paths, over all runs.

    Raises:
        InputError: no run has an image of that id or path.
    """
    tables = [pd.DataFrame(columns=["image_id", "path"])]
    for run in runs:
        if run.get_artifact_path("images").is_file():
            tables.append(run.load_artifact("images")[["image_id", "path"]])
    known = pd.concat(tables).drop_duplicates().astype(str)
    for name in ids_or_paths:
        if not known.isin([name]).any(axis=None):
            raise InputError(
                f"{name}: no run has an image of this id or path; "
                "the file images.parquet of a report lists them"
            )
    erased = known[known.isin(ids_or_paths).any(axis=1)]
    return ErasedImages(frozenset(erased["image_id"]), frozenset(erased["path"]))


def erase_from_run(run: RunFolder, erased_images: ErasedImages, reports_folder: Path) -> int:
    """Erase the images from every artifact of a run, and delete its page.

    The hashes in the stages' records are updated, so that every stage is still up to date.

    Args:
        run: the run; the caller holds its lock and renders the page again.
        erased_images: the images.
        reports_folder: where the page was published.

    Returns:
        The number of the images that the run had.
    """
    erased_rows = _mark_erased_rows(run, erased_images.ids)
    count = int(erased_rows["images"].sum()) if "images" in erased_rows else 0
    if not count:
        return 0
    erased_rows["salient"] = _mark_erased_saliency(run, erased_images.ids)
    new_hashes: dict[str, str] = {}
    for stage in STAGES:
        record = run.read_record(stage.name)
        if record and stage.name != "report":
            _rewrite_stage(run, record, erased_images, erased_rows, new_hashes)
    for folder in (run.path / "report", reports_folder / run.run_id):
        shutil.rmtree(folder, ignore_errors=True)
    (run.path / "summary.json").unlink(missing_ok=True)
    return count


def erase_review_labels(runs_folder: Path, erased_images: ErasedImages) -> None:
    """Erase the images from the reviewers' decisions."""
    path = runs_folder / review_decisions.REVIEW_FILE_NAME
    with artifact_store.lock_file(path):
        if not path.exists():
            return
        decisions = review_decisions.read_decisions(runs_folder)
        labels = dict(decisions.labels)
        for image_id in erased_images.ids:
            labels.pop(image_id, None)
        kept = decisions.model_copy(update={"labels": labels})
        artifact_store.write_text(path, kept.model_dump_json(indent=1))


def _mark_erased_rows(run: RunFolder, image_ids: frozenset[str]) -> dict[str, RowMask]:
    """Return the rows to erase, bool [rows], by the symbol of a table's row dimension."""
    masks: dict[str, RowMask] = {}
    for name, contract in ARTIFACT_CONTRACTS.items():
        if not isinstance(contract, TableContract) or not contract.row_dimension:
            continue
        if "image_id" in contract.columns and run.get_artifact_path(name).is_file():
            ids = run.load_artifact(name)["image_id"]
            masks[contract.row_dimension] = ids.isin(image_ids).to_numpy()
    return masks


def _mark_erased_saliency(run: RunFolder, image_ids: frozenset[str]) -> RowMask:
    """Return which heat maps are of those images; `flips` holds their positions."""
    if not run.get_artifact_path("saliency").is_file():
        return np.zeros(0, np.bool_)
    flips = run.load_artifact("flips")
    mask = np.zeros(len(run.load_artifact("saliency")), np.bool_)
    has_map = flips["image_id"].isin(image_ids) & (flips["saliency"] >= 0)
    mask[flips.loc[has_map, "saliency"].to_numpy(int)] = True
    return mask


def _rewrite_stage(
    run: RunFolder,
    record: dict[str, Any],
    erased_images: ErasedImages,
    erased_rows: Mapping[str, RowMask],
    new_hashes: dict[str, str],
) -> None:
    """Write a stage's artifacts and record without the images.

    Args:
        run: the run.
        record: the stage's record.
        erased_images: the images.
        erased_rows: rows to erase by row dimension.
        new_hashes: new content hash by old one; the changed artifacts are added.
    """
    stage = str(record["stage"])
    for artifact in get_stage(stage).makes:
        path = run.get_artifact_path(artifact)
        new_path = path.with_name(f".new-{path.name}")
        value = run.load_artifact(artifact)
        if _write_artifact_without(new_path, artifact, value, erased_images, erased_rows):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            new_path.rename(path)
            new_hash = artifact_store.hash_content(path)
            new_hashes[record["artifacts"][artifact]] = new_hash
            record["artifacts"][artifact] = new_hash
    inputs = record["went_in"]["inputs"]
    for need, old_hash in inputs.items():
        inputs[need] = new_hashes.get(old_hash, old_hash)
    record["key"] = artifact_store.compute_key(stage, record["went_in"])
    artifact_store.write_json(run.path / stage / "stage.json", record)


def _write_artifact_without(
    target_path: Path,
    name: str,
    value: Any,
    erased_images: ErasedImages,
    erased_rows: Mapping[str, RowMask],
) -> bool:
    """Write an artifact without the images.

    Args:
        target_path: the new file or folder.
        name: the artifact.
        value: its value.
        erased_images: the images.
        erased_rows: rows to erase by row dimension.

    Returns:
        False, and nothing is written, if the artifact has none of the images.
    """
    contract = ARTIFACT_CONTRACTS[name]
    if isinstance(contract, FolderContract):
        return _write_lists_without(target_path, Path(value), erased_images)
    if isinstance(contract, ObjectContract):
        reduced = value.exclude_images(erased_images.ids)
        if reduced is not value:
            reduced.save(target_path)
        return reduced is not value
    if isinstance(contract, ArrayContract):
        dimension = contract.shape[0]
        mask = erased_rows.get(str(dimension), np.zeros(0, np.bool_))
        if not mask.any():
            return False
        _write_array_without(target_path, value, mask, should_blank=dimension == "salient")
        return True
    if isinstance(contract, TableContract):
        reduced = _drop_table_rows(value, erased_images.ids)
        is_unchanged = len(reduced) == len(value)
    else:
        reduced = _drop_json_ids(value, erased_images.ids)
        is_unchanged = reduced == value
    if not is_unchanged:
        artifact_store.write_artifact(target_path, contract, reduced)
    return not is_unchanged


def _write_array_without(
    target_path: Path, array: NDArray[Any], erased_rows: RowMask, should_blank: bool
) -> None:
    """Write an array without the erased rows, or with zeros in them, chunk by chunk."""
    kept_rows = np.arange(len(array)) if should_blank else np.flatnonzero(~erased_rows)
    shape = (len(kept_rows), *array.shape[1:])
    target = np.lib.format.open_memmap(target_path, mode="w+", dtype=array.dtype, shape=shape)
    for start in range(0, len(kept_rows), _ROWS_PER_CHUNK):
        rows = kept_rows[start : start + _ROWS_PER_CHUNK]
        chunk = target[start : start + len(rows)]
        chunk[:] = array[rows]
        chunk[erased_rows[rows]] = 0
    target.flush()


def _drop_table_rows(table: pd.DataFrame, image_ids: frozenset[str]) -> pd.DataFrame:
    columns = [column for column in _ID_COLUMNS if column in table]
    return table[~table[columns].isin(image_ids).any(axis=1)] if columns else table


def _drop_json_ids(value: Any, image_ids: frozenset[str]) -> Any:
    """Return a JSON value without those ids in its lists."""
    if isinstance(value, dict):
        return {key: _drop_json_ids(item, image_ids) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    kept = []
    for item in value:
        if not isinstance(item, str):
            kept.append(_drop_json_ids(item, image_ids))
        elif item not in image_ids:
            kept.append(item)
    return kept


def _write_lists_without(target_folder: Path, folder: Path, erased_images: ErasedImages) -> bool:
    """Write a folder whose CSV lists name images by path, without the erased images.

    Their rows are dropped, and their paths in lists of examples.

    Returns:
        False, and nothing is written, if no list names them.
    """
    changed = {}
    for file in sorted(folder.glob("*.csv")):
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
        reduced = table
        if "path" in reduced:
            reduced = reduced[~reduced["path"].isin(erased_images.paths)]
        if "examples" in reduced:
            examples = [_drop_paths(text, erased_images.paths) for text in reduced["examples"]]
            reduced = reduced.assign(examples=examples)
        if not reduced.equals(table):
            changed[file.name] = reduced
    if changed:
        shutil.copytree(folder, target_folder)
        for name, table in changed.items():
            table.to_csv(target_folder / name, index=False)
    return bool(changed)


def _drop_paths(text: str, paths: frozenset[str]) -> str:
    """Return a list of paths, joined by "; ", without those paths."""
    return "; ".join(path for path in text.split("; ") if path not in paths)
