"""A table that lists photos: `metadata.csv`, `.jsonl` or `.parquet` as in Hugging Face's imagefolder, or any table."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pandera

from pipeline.contracts import InputError
from pipeline.datasets.guess import guess_columns
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
)
from pipeline.datasets.sources import REMOTE, local
from pipeline.datasets.tables import Columns, plain, table, text, typed
from pipeline.datasets.tree import OUTSIDE, Tree, regular, tree_of

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
    tables = [n for n in tree.names if "/" not in n and os.path.splitext(n)[1].lower() in TABLES]
    usable = [n for n in tables if guess_columns(columns_of(tree, n))["file"]] if 0 < len(tables) <= 5 else []
    return {usable[0]: None} if len(usable) == 1 else {}


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
                f"(name it in ingest.{key}, or let nightshift init guess)"
            )
    return file, label


class _Places:
    """Where the file names of a manifest lead. paths: relative to the root, absolute, or an address."""

    def __init__(self, tree: Tree, folder: str, names: list[str | None]) -> None:
        self.tree, self.alone = tree, tree.kind == "file"
        self.home = os.path.abspath(tree.root.parent if self.alone else tree.root / tree.base)
        self.there = frozenset(tree.names)
        self._folders: dict[str, str] = {}
        self._top = os.path.realpath(self.home).rstrip("/") + "/"
        self.paths = [self._path(folder, name.replace("\\", "/")) if name else "" for name in names]

    def _path(self, folder: str, name: str) -> str:
        if REMOTE.match(name):
            return name
        if name.startswith("/"):
            tidy = posixpath.normpath(name)
            inside = tidy.startswith(self.home + "/")
            return tidy[len(self.home) + 1 :] if inside else tidy
        return posixpath.normpath(posixpath.join(folder, name))

    def outside(self, path: str) -> bool:
        absolute = path.startswith("/") and (self.tree.kind in ("zip", "tar") or not is_image(path))
        drive = path[1:2] == ":"
        return absolute or drive or path == ".." or path.startswith("../") or "\0" in path

    def missing(self, path: str) -> bool:
        if not path or REMOTE.match(path) or self.outside(path):
            return False
        if path.startswith("/") or self.alone:
            return not regular(os.path.join(self.home, path))
        return path not in self.there

    def linked_out(self, path: str) -> bool:
        """Whether a link takes a relative path out of the folder (a tree of files has set such aside already)."""
        if not self.alone or self.tree.links or not path or path.startswith("/") or REMOTE.match(path):
            return False
        return not self.outside(path) and not self._real(os.path.join(self.home, path)).startswith(self._top)

    def _real(self, path: str) -> str:
        """`os.path.realpath`, which asks the system once for each folder."""
        if os.path.islink(path):
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return os.path.join(self._folders[folder], name)

    def source(self, path: str) -> str:
        if REMOTE.match(path):
            return path
        return local(os.path.join(self.home, path)) if self.alone or path.startswith("/") else self.tree.source(path)


def _schema(places: _Places, name: str, labelled: bool) -> pandera.DataFrameSchema:
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


def _rows(places: _Places, columns: Columns, label: str, split: str | None) -> pd.DataFrame:
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
    places = _Places(tree, name.rpartition("/")[0], [text(value) for value in columns[file]])
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

    File names are relative to the manifest's folder, absolute, or addresses (https, s3, ...). Labels and groups are
    text, whatever they look like; folders give no label; all other columns are kept. Set aside with a reason: rows
    without their file, without a label, listed twice or leading out of the folder; files that no manifest lists.
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
