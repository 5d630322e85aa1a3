"""Forgetting photos: out of the pixels, tables and pages of every run.

What a model has learnt from a photo stays in its weights, its measures stay without a name among those that describe
the model's data, and the photo's own file is not ours to delete.
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

from pipeline import mirror, remote, runner, store
from pipeline.contracts import Array, Bundle, InputError, Table
from pipeline.evidence import review
from pipeline.graph import ARTIFACTS, STAGES, stage
from pipeline.progress import say
from pipeline.store import Run

Mask = NDArray[np.bool_]
_IDS = ("image_id", "other_id")
_CHUNK = 4096  # rows of an array held in memory at once


@dataclass(frozen=True)
class Photos:
    """The photos to forget. ids: image ids; paths: their paths within the data set."""

    ids: frozenset[str]
    paths: frozenset[str]


def everywhere(home: Path, names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Forget photos in all runs of a folder, and make their pages anew: (run, photos removed), run by run.

    Raises `InputError`, before anything is changed, where no run knows a photo of that id or path."""
    mirror.refresh(home, say)
    runs = store.runs(home)
    for run in runs:
        mirror.fetch(run.path)
    photos = find(runs, names)
    forget_reviews(home, photos)
    for run in runs:
        settings = runner.configure(run.path / "config.yaml")
        with runner.at_work(run):
            page = run.file("html").exists()
            held = forget(run, photos, settings.general.reports)
            for name in store.finished(run):
                mirror.publish(run, name)
            if held and page:
                runner.run_stage(run, settings, "report")
                runner.publish(run, settings.general.reports)
        yield run.run_id, held


def find(runs: Iterable[Run], names: Sequence[str]) -> Photos:
    """Photos given by image id or relative path, over all runs. Raises `InputError` for one that no run knows."""
    tables = [run.load("images")[["image_id", "path"]] for run in runs if run.file("images").is_file()]
    every = pd.concat([pd.DataFrame(columns=["image_id", "path"]), *tables]).drop_duplicates()
    found = [every[(every["image_id"] == name) | (every["path"] == name)] for name in names]
    for name, rows in zip(names, found, strict=True):
        if rows.empty:
            raise InputError(f"{name}: no run knows a photo of this id or path; a report's photos.parquet lists them")
    table = pd.concat(found)
    return Photos(frozenset(table["image_id"].astype(str)), frozenset(table["path"].astype(str)))


def forget(run: Run, photos: Photos, reports: Path) -> int:
    """Remove the photos from every artifact of `run`; drop its page, which the caller makes anew. How many it held.

    The hashes in the stages' records follow, so that what stands is still up to date with what it was made from.
    """
    gone = _rows_gone(run, photos.ids)
    held = int(gone["images"].sum()) if "images" in gone else 0
    if held:
        blank = _salient(run, photos.ids)
        hashes: dict[str, str] = {}
        for item in STAGES:
            record = run.record(item.name)
            if record and item.name != "report":
                _rewrite(run, record, photos, {**gone, "salient": blank}, hashes)
        for folder in (run.path / "report", reports / run.run_id):
            shutil.rmtree(folder, ignore_errors=True)
        (run.path / "summary.json").unlink(missing_ok=True)
    return held


def forget_reviews(home: Path, photos: Photos) -> None:
    """Take the photos out of the reviewers' decisions."""
    with remote.shared(home / review.FILE):
        if (home / review.FILE).exists():
            kept = review.read(home)
            labels = {key: label for key, label in kept.labels.items() if key not in photos.ids}
            store.write_text(home / review.FILE, kept.model_copy(update={"labels": labels}).model_dump_json(indent=1))


def _rows_gone(run: Run, ids: frozenset[str]) -> dict[str, Mask]:
    """Which rows go, bool [rows], by the symbol that the graph page gives to a table's rows."""
    gone = {}
    for name, kind in ARTIFACTS.items():
        if isinstance(kind, Table) and kind.rows and "image_id" in kind.columns and run.file(name).is_file():
            gone[kind.rows] = run.load(name)["image_id"].isin(ids).to_numpy()
    return gone


def _salient(run: Run, ids: frozenset[str]) -> Mask:
    """Which heat maps are of those photos: their numbers stand in `flips`."""
    if not run.file("saliency").is_file():
        return np.zeros(0, np.bool_)
    flips, mask = run.load("flips"), np.zeros(len(run.load("saliency")), np.bool_)
    mask[flips.loc[flips["image_id"].isin(ids) & (flips["saliency"] >= 0), "saliency"].to_numpy(int)] = True
    return mask


def _rewrite(
    run: Run, record: dict[str, Any], photos: Photos, gone: Mapping[str, Mask], hashes: dict[str, str]
) -> None:
    """Write a stage's artifacts and its record without the photos; `hashes` gathers old content hash to new."""
    name = str(record["stage"])
    for made in stage(name).makes:
        path, old = run.file(made), record["artifacts"][made]
        aside = path.with_name(f".new-{path.name}")
        if _write(aside, made, run.load(made), photos, gone):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            aside.rename(path)
            hashes[old] = record["artifacts"][made] = store.digest(path)
    went_in = record["went_in"]
    went_in["inputs"] = {need: hashes.get(old, old) for need, old in went_in["inputs"].items()}
    store.write_json(run.path / name / "stage.json", {**record, "key": store.key_of(name, went_in)})


def _write(aside: Path, name: str, value: Any, photos: Photos, gone: Mapping[str, Mask]) -> bool:
    """Write the artifact without the photos at `aside`; False, and nothing written, where it holds nothing of them."""
    kind = ARTIFACTS[name]
    if isinstance(kind, Array):
        rows = gone.get(str(kind.shape[0]), np.zeros(0, np.bool_))
        return bool(rows.any()) and _write_rows(aside, value, rows, blank=kind.shape[0] == "salient")
    if isinstance(kind, Bundle):
        return _write_lists(aside, Path(value), photos)
    less = _table_without(value, photos.ids) if isinstance(kind, Table) else _json_without(value, photos.ids)
    if len(less) == len(value) if isinstance(kind, Table) else less == value:
        return False
    store.write_artifact(aside, kind, less)
    return True


def _write_rows(aside: Path, array: NDArray[Any], rows: Mask, blank: bool) -> bool:
    """The array without `rows`, or with zeros there, a portion at a time."""
    kept = np.arange(len(array)) if blank else np.flatnonzero(~rows)
    shape = (len(kept), *array.shape[1:])
    out = np.lib.format.open_memmap(aside, mode="w+", dtype=array.dtype, shape=shape)
    for start in range(0, len(kept), _CHUNK):
        part = kept[start : start + _CHUNK]
        out[start : start + len(part)] = array[part]
        out[start : start + len(part)][rows[part]] = 0
    out.flush()
    return True


def _table_without(table: pd.DataFrame, ids: frozenset[str]) -> pd.DataFrame:
    columns = [column for column in _IDS if column in table]
    return table[~table[columns].isin(ids).any(axis=1)] if columns else table


def _json_without(value: Any, ids: frozenset[str]) -> Any:
    """A JSON value without those ids in its lists."""
    if isinstance(value, dict):
        return {key: _json_without(part, ids) for key, part in value.items()}
    if isinstance(value, list):
        return [_json_without(part, ids) for part in value if not (isinstance(part, str) and part in ids)]
    return value


def _write_lists(aside: Path, folder: Path, photos: Photos) -> bool:
    """A bundle whose lists (CSV) name photos by path, without those rows and, in lists of examples, those paths."""
    new = {}
    for file in sorted(folder.glob("*.csv")):
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
        less = table[~table["path"].isin(photos.paths)] if "path" in table else table
        if "examples" in less:
            kept = [[p for p in text.split("; ") if p not in photos.paths] for text in less["examples"]]
            less = less.assign(examples=["; ".join(paths) for paths in kept])
        if not less.equals(table):
            new[file.name] = less
    if new:
        shutil.copytree(folder, aside)
        for name, table in new.items():
            table.to_csv(aside / name, index=False)
    return bool(new)
