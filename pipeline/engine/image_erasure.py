"""Forgetting images: out of the pixels, tables and pages of every run.

What a model has learnt from a image stays in its weights, its measures stay without a name among those that describe
the model's data, and the image's own file is not ours to delete.
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
from pipeline.engine import runner
from pipeline.graph import ARTIFACT_CONTRACTS, STAGES, get_stage
from pipeline.storage import artifact_store, review_decisions
from pipeline.storage.artifact_store import RunFolder

RowMask = NDArray[np.bool_]
_ID_COLUMNS = ("image_id", "other_id")
_ROWS_PER_CHUNK = 4096  # rows of an array held in memory at once


@dataclass(frozen=True)
class ErasedImages:
    """The images to forget. ids: image ids; paths: their paths within the data set."""

    ids: frozenset[str]
    paths: frozenset[str]


def erase_from_all_runs(
    runs_folder: Path, ids_or_paths: Sequence[str]
) -> Iterator[tuple[str, int]]:
    """Forget images in all runs of a folder, and make their pages anew: (run, images removed), run by run.

    Raises `InputError`, before anything is changed, where no run knows a image of that id or path."""
    runs = artifact_store.list_runs(runs_folder)
    images = find_images(runs, ids_or_paths)
    erase_review_labels(runs_folder, images)
    for run in runs:
        settings = runner.load_config(run.path / "config.yaml")
        with runner.hold_run_lock(run):
            page = run.get_artifact_path("html").exists()
            held = erase_from_run(run, images, settings.general.reports)
            if held and page:
                runner.run_stage(run, settings, "report")
                runner.publish_report(run, settings.general.reports)
        yield run.run_id, held


def find_images(runs: Iterable[RunFolder], ids_or_paths: Sequence[str]) -> ErasedImages:
    """Images given by image id or relative path, over all runs. Raises `InputError` for one that no run knows."""
    tables = [
        run.load_artifact("images")[["image_id", "path"]]
        for run in runs
        if run.get_artifact_path("images").is_file()
    ]
    every = pd.concat([pd.DataFrame(columns=["image_id", "path"]), *tables]).drop_duplicates()
    found = [every[(every["image_id"] == name) | (every["path"] == name)] for name in ids_or_paths]
    for name, rows in zip(ids_or_paths, found, strict=True):
        if rows.empty:
            raise InputError(
                f"{name}: no run knows a image of this id or path; a report's images.parquet lists them"
            )
    table = pd.concat(found)
    return ErasedImages(
        frozenset(table["image_id"].astype(str)), frozenset(table["path"].astype(str))
    )


def erase_from_run(run: RunFolder, erased_images: ErasedImages, reports_folder: Path) -> int:
    """Remove the images from every artifact of `run`; drop its page, which the caller makes anew. How many it held.

    The hashes in the stages' records follow, so that what stands is still up to date with what it was made from.
    """
    gone = _mark_erased_rows(run, erased_images.ids)
    held = int(gone["images"].sum()) if "images" in gone else 0
    if held:
        blank = _mark_erased_saliency(run, erased_images.ids)
        hashes: dict[str, str] = {}
        for item in STAGES:
            record = run.read_record(item.name)
            if record and item.name != "report":
                _rewrite_stage(run, record, erased_images, {**gone, "salient": blank}, hashes)
        for folder in (run.path / "report", reports_folder / run.run_id):
            shutil.rmtree(folder, ignore_errors=True)
        (run.path / "summary.json").unlink(missing_ok=True)
    return held


def erase_review_labels(runs_folder: Path, erased_images: ErasedImages) -> None:
    """Take the images out of the reviewers' decisions."""
    with artifact_store.lock_file(runs_folder / review_decisions.REVIEW_FILE_NAME):
        if (runs_folder / review_decisions.REVIEW_FILE_NAME).exists():
            kept = review_decisions.read_decisions(runs_folder)
            labels = {
                key: label for key, label in kept.labels.items() if key not in erased_images.ids
            }
            artifact_store.write_text(
                runs_folder / review_decisions.REVIEW_FILE_NAME,
                kept.model_copy(update={"labels": labels}).model_dump_json(indent=1),
            )


def _mark_erased_rows(run: RunFolder, image_ids: frozenset[str]) -> dict[str, RowMask]:
    """Which rows go, bool [rows], by the symbol that the graph page gives to a table's rows."""
    gone = {}
    for name, kind in ARTIFACT_CONTRACTS.items():
        if (
            isinstance(kind, TableContract)
            and kind.row_dimension
            and "image_id" in kind.columns
            and run.get_artifact_path(name).is_file()
        ):
            gone[kind.row_dimension] = (
                run.load_artifact(name)["image_id"].isin(image_ids).to_numpy()
            )
    return gone


def _mark_erased_saliency(run: RunFolder, image_ids: frozenset[str]) -> RowMask:
    """Which heat maps are of those images: their numbers stand in `flips`."""
    if not run.get_artifact_path("saliency").is_file():
        return np.zeros(0, np.bool_)
    flips, mask = run.load_artifact("flips"), np.zeros(len(run.load_artifact("saliency")), np.bool_)
    mask[
        flips.loc[
            flips["image_id"].isin(image_ids) & (flips["saliency"] >= 0), "saliency"
        ].to_numpy(int)
    ] = True
    return mask


def _rewrite_stage(
    run: RunFolder,
    record: dict[str, Any],
    erased_images: ErasedImages,
    erased_rows: Mapping[str, RowMask],
    new_hashes: dict[str, str],
) -> None:
    """Write a stage's artifacts and its record without the images; `hashes` gathers old content hash to new."""
    name = str(record["stage"])
    for made in get_stage(name).makes:
        path, old = run.get_artifact_path(made), record["artifacts"][made]
        aside = path.with_name(f".new-{path.name}")
        if _write_artifact_without(
            aside, made, run.load_artifact(made), erased_images, erased_rows
        ):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            aside.rename(path)
            new_hashes[old] = record["artifacts"][made] = artifact_store.hash_content(path)
    went_in = record["went_in"]
    went_in["inputs"] = {need: new_hashes.get(old, old) for need, old in went_in["inputs"].items()}
    artifact_store.write_json(
        run.path / name / "stage.json", {**record, "key": artifact_store.compute_key(name, went_in)}
    )


def _write_artifact_without(
    target_path: Path,
    name: str,
    value: Any,
    erased_images: ErasedImages,
    erased_rows: Mapping[str, RowMask],
) -> bool:
    """Write the artifact without the images at `aside`; False, and nothing written, where it holds nothing of them."""
    kind = ARTIFACT_CONTRACTS[name]
    if isinstance(kind, ObjectContract):
        kept = value.without_images(erased_images.ids)
        if kept is not value:
            kept.save(target_path)
        return kept is not value
    if isinstance(kind, ArrayContract):
        rows = erased_rows.get(str(kind.shape[0]), np.zeros(0, np.bool_))
        return bool(rows.any()) and _write_array_without(
            target_path, value, rows, should_blank=kind.shape[0] == "salient"
        )
    if isinstance(kind, FolderContract):
        return _write_lists_without(target_path, Path(value), erased_images)
    less = (
        _drop_table_rows(value, erased_images.ids)
        if isinstance(kind, TableContract)
        else _drop_json_ids(value, erased_images.ids)
    )
    if len(less) == len(value) if isinstance(kind, TableContract) else less == value:
        return False
    artifact_store.write_artifact(target_path, kind, less)
    return True


def _write_array_without(
    target_path: Path, array: NDArray[Any], erased_rows: RowMask, should_blank: bool
) -> bool:
    """The array without `rows`, or with zeros there, a portion at a time."""
    kept = np.arange(len(array)) if should_blank else np.flatnonzero(~erased_rows)
    shape = (len(kept), *array.shape[1:])
    out = np.lib.format.open_memmap(target_path, mode="w+", dtype=array.dtype, shape=shape)
    for start in range(0, len(kept), _ROWS_PER_CHUNK):
        part = kept[start : start + _ROWS_PER_CHUNK]
        out[start : start + len(part)] = array[part]
        out[start : start + len(part)][erased_rows[part]] = 0
    out.flush()
    return True


def _drop_table_rows(table: pd.DataFrame, image_ids: frozenset[str]) -> pd.DataFrame:
    columns = [column for column in _ID_COLUMNS if column in table]
    return table[~table[columns].isin(image_ids).any(axis=1)] if columns else table


def _drop_json_ids(value: Any, image_ids: frozenset[str]) -> Any:
    """A JSON value without those ids in its lists."""
    if isinstance(value, dict):
        return {key: _drop_json_ids(part, image_ids) for key, part in value.items()}
    if isinstance(value, list):
        return [
            _drop_json_ids(part, image_ids)
            for part in value
            if not (isinstance(part, str) and part in image_ids)
        ]
    return value


def _write_lists_without(target_folder: Path, folder: Path, erased_images: ErasedImages) -> bool:
    """A bundle whose lists (CSV) name images by path, without those rows and, in lists of examples, those paths."""
    new = {}
    for file in sorted(folder.glob("*.csv")):
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
        less = table[~table["path"].isin(erased_images.paths)] if "path" in table else table
        if "examples" in less:
            kept = [
                [p for p in text.split("; ") if p not in erased_images.paths]
                for text in less["examples"]
            ]
            less = less.assign(examples=["; ".join(paths) for paths in kept])
        if not less.equals(table):
            new[file.name] = less
    if new:
        shutil.copytree(folder, target_folder)
        for name, table in new.items():
            table.to_csv(target_folder / name, index=False)
    return bool(new)
