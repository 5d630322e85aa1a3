"""A table that lists photos: `metadata.csv`, `.jsonl` or `.parquet` as in Hugging Face's imagefolder, or any table."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pandera

from pipeline.contracts import InputError
from pipeline.datasets.guess import Guess, guess_columns
from pipeline.datasets.photo import (
    DEFAULTS,
    SPLITS,
    TABLES,
    Options,
    Photo,
    Rejected,
    Value,
    is_image,
    moment,
    nearest,
    no_image,
    split_in,
)
from pipeline.datasets.places import Places, Shift, bare_names
from pipeline.datasets.sources import REMOTE
from pipeline.datasets.tables import Columns, plain, table, text, typed
from pipeline.datasets.tree import OUTSIDE, Tree, tree_of

NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "metadata.tsv", "metadata.xlsx")
OPTIONS = ("file", "label")
_OUT = "its path leads out of the data set's folder"


def manifests(tree: Tree) -> dict[str, str | None]:
    """The manifests of a data set by name, and the split that each one's folder stands for (None in the root).

    Where no `metadata.*` is there, any one table in the root counts that has a column of file names.
    """
    if tree.kind == "file":
        return {"": None} if tree.root.suffix.lower() in TABLES else {}
    here = [name for name in NAMES if name in tree.names]
    if here:
        return {here[0]: None}
    folders = sorted(name for name in tree.folders if name.rpartition("/")[2].lower() in SPLITS)
    there = frozenset(tree.names)
    places = ((f"{f}/{n}", f.rpartition("/")[2].lower()) for f in folders for n in NAMES)
    found: dict[str, str | None] = {place: SPLITS[word] for place, word in places if place in there}
    return found or _any_table(tree)


def _any_table(tree: Tree) -> dict[str, str | None]:
    """The one table in the root that lists photos, or those of several splits (`train.csv`, `labels_test.csv`)."""
    tables = [n for n in tree.names if "/" not in n and os.path.splitext(n)[1].lower() in TABLES]
    guesses = {n: found for n in tables if (found := _guessed(tree, n))["file"]} if 0 < len(tables) <= 5 else {}
    if len(guesses) < 2:
        return dict.fromkeys(guesses)
    splits = {name: split_in(name) for name in guesses if guesses[name]["label"]}  # one without labels is no use
    distinct = None not in splits.values() and len(set(splits.values())) == len(splits)
    return dict(splits) if distinct else {}


def _guessed(tree: Tree, name: str) -> Guess:
    """What the columns of a table may mean; nothing where it cannot be read."""
    try:
        return guess_columns(columns_of(tree, name), endings(tree))
    except InputError:
        return {"file": None}


def endings(tree: Tree) -> frozenset[str]:
    """The last parts of the photos' names, without suffix: what a column may hold that names no suffix."""
    return frozenset(name.rpartition("/")[2] for name in bare_names(tree.names))


def shift(tree: Tree, name: str, file: str) -> Shift | None:
    """How the file names of a manifest are shifted to where the photos are (see `places`)."""
    return Places(tree, name.rpartition("/")[0], [text(value) for value in columns_of(tree, name).get(file, [])]).shift


def columns_of(tree: Tree, name: str) -> Columns:
    """The columns of one manifest; raises `InputError` where it cannot be read."""
    where = tree.root if tree.kind == "file" else tree.root / name
    return table(tree.read(name), where)


def recognises(tree: Tree, options: Options = DEFAULTS) -> str | None:
    """A manifest in the root, or one in each split's folder, or a table that was named itself."""
    found = [name or tree.root.name for name in manifests(tree)]
    return f"a manifest, {' and '.join(found)}" if found else None


def _require(where: Path, columns: Columns, options: Options) -> tuple[str, str]:
    """The names of the columns with file and label; raises `InputError` where they, or all rows, are missing."""
    found = list(columns)
    file, label = options.file or "file_name", options.label or "label"
    if not found or not len(columns[found[0]]):
        raise InputError(f"{where}: lists no photos")
    wanted = [(file, "paths of the photos below the manifest's folder", "file"), (label, "labels", "label")]
    for name, use, key in wanted if options.labelled else wanted[:1]:
        if name not in found:
            raise InputError(
                f"{where}: no column {name!r} ({use}); columns found: {', '.join(found)}; {nearest(name, found)} "
                f"(name it in ingest.{key}, or let nightshift init guess; ingest.adapter=folder labels by folder)"
            )
    return file, label


def _schema(places: Places, name: str, labelled: bool) -> pandera.DataFrameSchema:
    """What every row must be; the `error` of a check is the reason for which a row is set aside."""
    checks = [
        (lambda path: path == "", "no file name"),
        (places.outside, _OUT),
        (places.missing, f"listed in {name}, but there is no such file"),
        (places.linked_out, OUTSIDE),
        (lambda path: bool(path) and not REMOTE.match(path) and not is_image(path), "not an image file"),
    ]
    wrong = [pandera.Check(lambda p, bad=bad: ~p.map(bad).astype(bool), error=why) for bad, why in checks]
    first = pandera.Check(lambda p: ~p.duplicated() | (p == ""), error=f"listed more than once in {name}")
    splits = pandera.Check(lambda s: s.isin(set(SPLITS.values())), error="its split is none of train, val and test")
    return pandera.DataFrameSchema(
        {
            "path": pandera.Column(str, wrong),
            "once": pandera.Column(str, first),
            "label": pandera.Column(str, nullable=not labelled),
            "split": pandera.Column(str, splits, nullable=True),
        }
    )


def _reasons(rows: pd.DataFrame, schema: pandera.DataFrameSchema) -> dict[int, str]:
    """Row number -> why the row is set aside (its first failure, in the order of the schema)."""
    try:
        schema.validate(rows, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        words = cases["check"].where(cases["check"] != "not_nullable", "no label")
        return {int(row): str(why) for row, why in zip(cases["index"][::-1], words[::-1], strict=True)}
    return {}


def _rows(places: Places, columns: Columns, label: str, split: str | None) -> pd.DataFrame:
    """The columns that are checked, as text: path, label, split."""
    nothing = [None] * len(places.paths)
    given = [text(value) or split for value in columns.get("split", nothing)]
    splits = [SPLITS.get(value.lower(), value) if value else None for value in given]
    labels = [text(value) for value in columns.get(label, nothing)]
    frame = pd.DataFrame({"path": places.paths, "label": labels, "split": splits}, dtype="str")
    return frame.assign(once=frame["path"])


def _photos(tree: Tree, name: str, split: str | None, options: Options) -> Iterator[Photo | Rejected]:
    columns = columns_of(tree, name)
    shown = name or tree.root.name
    file, label = _require(tree.root / name if name else tree.root, columns, options)
    reserved = {file, label, "split", "group", "captured_at"}
    as_text = shown.lower().endswith((".csv", ".tsv"))
    others = {c: typed(values) if as_text else values for c, values in columns.items() if c not in reserved}
    places = Places(tree, name.rpartition("/")[0], [text(value) for value in columns[file]])
    rows = _rows(places, columns, label, split)
    reasons = _reasons(rows, _schema(places, shown, options.labelled))
    problems = {item.path: item.reason for item in tree.problems}
    nothing = [None] * len(rows)
    groups, times = columns.get("group", nothing), columns.get("captured_at", nothing)
    labels, splits = (rows[c].replace({np.nan: None}).tolist() for c in ("label", "split"))
    for number, path in enumerate(places.paths):
        if number in reasons:
            yield Rejected(path or f"{shown} row {number + 1}", problems.get(path, reasons[number]))
            continue
        yield Photo(
            places.source(path),
            path,
            labels[number],
            text(groups[number]),
            moment(times[number]),
            splits[number],
            {c: plain(values[number]) for c, values in others.items()} | _unread(times[number]),
        )


def _unread(value: object) -> dict[str, Value]:
    """A time that cannot be read is kept as text in its column."""
    return {"captured_at": words} if (words := text(value)) and moment(value) is None else {}


def _left(tree: Tree, tables: Collection[str], listed: set[str]) -> Iterator[Rejected]:
    for name in tree.names:
        if name not in listed and name not in tables:
            yield Rejected(name, "not listed in the manifest" if is_image(name) else no_image(name))


def manifest(tree: Tree | Path, options: Options = DEFAULTS) -> Iterator[Photo | Rejected]:
    """A table with a row for each photo: `file_name` and a label; `split`, `group` and `captured_at` where known.

    File names are relative to the manifest's folder, absolute, or addresses (https, s3, ...); where none leads
    anywhere, they are shifted to where the photos are (see `places`). Labels and groups are text, whatever they look
    like; folders give no label; all other columns are kept. Set aside with a reason: rows without their file, without
    a label, listed twice or leading out of the folder; files that no manifest lists.
    Raises `InputError` where a manifest cannot be read.
    """
    tree = tree_of(tree, options.links)
    found = manifests(tree)
    if not found:
        raise InputError(f"ingest.data: {tree.root}: no {' or '.join(NAMES[:3])} in it")
    listed = set[str]()
    for name, split in found.items():
        for item in _photos(tree, name, split, options):
            listed.add(item.path)
            yield item
    yield from (item for item in tree.problems if item.path not in listed)
    yield from _left(tree, found, listed)
