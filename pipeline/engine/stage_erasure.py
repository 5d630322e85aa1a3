"""The stages of a run written again without some images, beside the stages in force.

Nothing in force changes before all new stages are complete. Then they are put into place together:
a kill leaves a run that has the images in every stage, or one that has them in none.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contracts import ArrayContract, FolderContract, ObjectContract, TableContract
from pipeline.graph import ARTIFACT_CONTRACTS, STAGES, get_stage
from pipeline.storage import artifact_store, stage_swaps
from pipeline.storage.artifact_store import RunFolder
from pipeline.storage.csv_tables import unescape_formulas, write_csv

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

    @property
    def names(self) -> frozenset[str]:
        """Return ids and paths."""
        return self.ids | self.paths

    @cached_property
    def distinct_names(self) -> frozenset[str]:
        """Return the ids, and the paths that can be nothing else, such as a class or a number."""
        return self.ids | {path for path in self.paths if "/" in path or "." in path}


def erase_from_stages(run: RunFolder, erased_images: ErasedImages) -> int:
    """Replace the stages of a run that name the images, and remove its page if one does.

    The hashes in the stages' records are updated, so that every stage is still up to date.

    Args:
        run: the run; the caller holds its lock and renders the page again.
        erased_images: the images.

    Returns:
        The number of the images that the run had, at least 1 if any stage named one.

    Raises:
        InputError: a stage is damaged; then nothing is changed.
    """
    staged = run.path / stage_swaps.STAGED_FOLDER
    staged.mkdir()
    try:
        erased_rows = _mark_erased_rows(run, erased_images.ids)
        count = int(erased_rows["images"].sum()) if "images" in erased_rows else 0
        erased_rows["salient"] = _mark_erased_saliency(run, erased_images.ids)
        new_hashes: dict[str, str] = {}
        for stage in STAGES:
            record = run.read_record(stage.name)
            if record and stage.name != "report":
                _stage_without(run, record, stage.name, (erased_images, erased_rows, new_hashes))
        is_changed = any(staged.iterdir())
        if count or is_changed:
            _remove_page(run)
            stage_swaps.commit_staged_stages(run.path)
        return max(count, int(is_changed))
    finally:
        if not (staged / stage_swaps.READY_FILE).exists():
            stage_swaps.remove_folder(staged)


def _remove_page(run: RunFolder) -> None:
    """Remove the stage `report` and the copy of its summary."""
    (run.path / "summary.json").unlink(missing_ok=True)
    if (run.path / "report").exists():
        aside = run.path / f"{stage_swaps.STAGING_PREFIX}report"
        stage_swaps.remove_folder(aside)
        (run.path / "report").rename(aside)
        stage_swaps.remove_folder(aside)


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


def _stage_without(
    run: RunFolder,
    record: dict[str, Any],
    stage: str,
    erasure: tuple[ErasedImages, Mapping[str, RowMask], dict[str, str]],
) -> None:
    """Write a stage without the images among the staged ones; nothing if it stays the same.

    Args:
        run: the run.
        record: the stage's record.
        stage: the stage.
        erasure: the images, the rows to erase by row dimension, and the new content hash by old
            one, to which those of the changed artifacts are added.
    """
    erased_images, erased_rows, new_hashes = erasure
    folder = run.path / stage_swaps.STAGED_FOLDER / stage
    folder.mkdir()
    is_changed = False
    for artifact in get_stage(stage).makes:
        path = run.get_artifact_path(artifact)
        if not path.exists():  # nothing to erase; a listed one stays damaged
            continue
        value = run.load_artifact(artifact)
        if _write_artifact_without(folder / path.name, artifact, value, erased_images, erased_rows):
            new_hash = artifact_store.hash_content(folder / path.name)
            new_hashes[record["artifacts"].get(artifact, "")] = new_hash
            record["artifacts"][artifact] = new_hash
            record["stamps"][artifact] = artifact_store.compute_stamp(folder / path.name)
            is_changed = True
        elif path.is_dir():
            shutil.copytree(path, folder / path.name, copy_function=os.link)
        else:
            os.link(path, folder / path.name)
    is_changed |= _update_key(record, stage, new_hashes)
    notes = [line for line in record["notes"] if not _has_name(line, erased_images)]
    if is_changed or notes != record["notes"]:
        artifact_store.write_json(folder / "stage.json", {**record, "notes": notes})
    else:
        shutil.rmtree(folder)


def _update_key(record: dict[str, Any], stage: str, new_hashes: Mapping[str, str]) -> bool:
    """Put the new hashes of its inputs into a stage's record, and return whether one changed."""
    inputs = record["went_in"].get("inputs", {})
    changed = {need: new_hashes[old] for need, old in inputs.items() if old in new_hashes}
    inputs.update(changed)
    if changed:
        record["key"] = artifact_store.compute_key(stage, record["went_in"])
    return bool(changed)


def _has_name(text: str, erased_images: ErasedImages) -> bool:
    return any(name in text for name in erased_images.distinct_names)


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
        reduced = _drop_table_rows(value, erased_images)
        is_unchanged = len(reduced) == len(value)
    else:
        reduced = value
        if name != "classes":
            reduced = _drop_json_names(value, erased_images.distinct_names)
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


def _drop_table_rows(table: pd.DataFrame, erased_images: ErasedImages) -> pd.DataFrame:
    """Return the rows that name none of the images by id or path."""
    is_erased = np.zeros(len(table), np.bool_)
    for column in _ID_COLUMNS:
        if column in table:
            is_erased |= table[column].isin(erased_images.ids).to_numpy()
    if "path" in table:
        is_erased |= table["path"].isin(erased_images.paths).to_numpy()
    return table[~is_erased] if is_erased.any() else table


def _drop_json_names(value: Any, names: frozenset[str]) -> Any:
    """Return a JSON value without the entries of lists and objects that are or name an image."""
    if isinstance(value, dict):
        return {
            key: _drop_json_names(item, names)
            for key, item in value.items()
            if key not in names and not _is_named(item, names)
        }
    if not isinstance(value, list):
        return value
    kept = []
    for item in value:
        is_row = isinstance(item, dict) and any(_is_named(part, names) for part in item.values())
        if not is_row and not _is_named(item, names):
            kept.append(_drop_json_names(item, names))
    return kept


def _is_named(value: Any, names: frozenset[str]) -> bool:
    return isinstance(value, str) and value in names


def _write_lists_without(target_folder: Path, folder: Path, erased_images: ErasedImages) -> bool:
    """Write a folder whose CSV lists name images by path, without the erased images.

    Their rows are dropped, and their paths in lists of examples.

    Returns:
        False, and nothing is written, if no list names them.
    """
    changed = {}
    for file in sorted(folder.glob("*.csv")):
        table = unescape_formulas(pd.read_csv(file, dtype=str, keep_default_na=False))
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
            write_csv(target_folder / name, table)
    return bool(changed)


def _drop_paths(text: str, paths: frozenset[str]) -> str:
    """Return a list of paths, joined by "; ", without those paths."""
    return "; ".join(path for path in text.split("; ") if path not in paths)
