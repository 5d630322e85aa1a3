"""MATLAB files of labels beside images, or of images and labels (Cars, Flowers, Dogs, SVHN)."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.contracts import InputError
from pipeline.data.reading import array_members
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_decoding import ImageError
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    ImageRecord,
    ReadOptions,
    RejectedFile,
)
from pipeline.data.reading.image_sources import build_member_source, unpack_container
from pipeline.data.tables.listed_images import (
    ListedImage,
    ListedImageFinder,
    build_records,
    parse_list_split,
    parse_path_split,
)
from pipeline.data.tables.table_files import convert_to_text

SUPPORTED_OPTIONS = ("multi",)
_MAX_FILES = 20
_MATCHED_SHARE = 0.5
_SPLIT_PREFIXES = {"trn": "train", "train": "train", "val": "val", "tst": "test", "test": "test"}
_CLASS_FIELDS = ("class", "label", "category")
_OLD_VERSION_HINT = "save it in MATLAB with -v7, or export its labels as CSV"


@dataclass
class MatLabels:
    """Labels that MATLAB files give, by the path of the image.

    Attributes:
        listed: labels and splits by path.
        sources: the files that gave them.
    """

    listed: dict[str, ListedImage] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)


def _list_mat_files(tree: FileTree) -> list[str]:
    if tree.root_kind not in ("folder", "zip", "tar"):
        return []
    names = [n for n in tree.file_names if n.lower().endswith(".mat") and n.count("/") <= 2]
    return names if len(names) <= _MAX_FILES else []


def _load_variables(tree: FileTree, name: str) -> dict[str, Any]:
    try:
        return array_members.load_mat_variables(unpack_container(tree.get_container(name)))
    except NotImplementedError as error:
        raise InputError(
            f"{tree.root / name}: of MATLAB's version 7.3, which is not read; {_OLD_VERSION_HINT}"
        ) from error
    except Exception as error:  # scipy raises many errors on damaged files
        raise InputError(f"{tree.root / name}: cannot be read as a MATLAB file: {error}") from error


def _list_texts(value: Any) -> list[str] | None:
    """Return an array of text as a list, or None."""
    if not isinstance(value, np.ndarray) or value.ndim != 1 or not value.size:
        return None
    if value.dtype.kind == "U" or all(isinstance(item, str) for item in value):
        return [str(item).strip() for item in value]
    return None


def _list_numbers(value: Any) -> list[int] | None:
    """Return an array of whole numbers as a list, or None."""
    if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype.kind not in "iuf":
        return None
    return [int(item) for item in value] if (value == np.round(value)).all() else None


def _find_class_names(files: dict[str, dict[str, Any]]) -> list[str]:
    for variables in files.values():
        for name, value in variables.items():
            texts = _list_texts(value)
            if texts is not None and "name" in name.lower():
                return texts
    return []


def _list_rows(variables: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Return file name and label of each row of a structure, or of two arrays of one length."""
    for value in variables.values():
        names = value.dtype.names if isinstance(value, np.ndarray) and value.ndim == 1 else None
        if not names:
            continue
        file = next((n for n in names if "name" in n.lower() or "file" in n.lower()), None)
        label = next((n for n in names if n.lower() in _CLASS_FIELDS), None)
        if file is not None:
            return [
                (str(row[file]), convert_to_text(_get_item(row[label])) if label else None)
                for row in value
            ]
    texts = [(name, _list_texts(value)) for name, value in variables.items()]
    files = next((t for name, t in texts if t and "class" not in name.lower()), None)
    if files is None:
        return []
    for name, value in variables.items():
        numbers = _list_numbers(value)
        is_label = "label" in name.lower() or "class" in name.lower()
        if numbers is not None and len(numbers) == len(files) and is_label:
            return [(n, str(number)) for n, number in zip(files, numbers, strict=True)]
    return []


def _get_item(value: Any) -> Any:
    return value.item() if isinstance(value, np.ndarray | np.generic) and value.size == 1 else value


def _read_labels(tree: FileTree) -> MatLabels:
    """Return the labels of images beside the MATLAB files."""
    files = {name: _load_variables(tree, name) for name in _list_mat_files(tree)}
    index = ListedImageFinder(tree.file_names)
    class_names = _find_class_names(files)
    found = MatLabels()
    for name, variables in files.items():
        rows = _list_rows(variables)
        split = parse_list_split(name)
        if split:  # the names of two splits may be the same
            folders = [n for n in index.images if parse_path_split(n) == split or _in(n, split)]
            paths = ListedImageFinder(folders or index.images).find_images([row[0] for row in rows])
        else:
            paths = index.find_images([row[0] for row in rows])
        if not rows or sum(map(bool, paths)) < _MATCHED_SHARE * len(rows):
            continue
        found.sources.append(name)
        for path, (_, label) in zip(paths, rows, strict=True):
            if path is not None:
                labels = [_name_class(label, class_names)] if label else []
                found.listed[path] = ListedImage(labels, split)
    return found if found.listed else _read_numbered(files, index)


def _in(path: str, split: str) -> bool:
    """Return whether a folder of a path states a split among other words (`cars_train`)."""
    return any(parse_list_split(part) == split for part in path.split("/")[:-1])


def _name_class(label: str, class_names: list[str]) -> str:
    """Return the name of a class that counts from 1, or the number."""
    is_number = label.isdigit() and 1 <= int(label) <= len(class_names)
    return class_names[int(label) - 1] if is_number else label


def _read_numbered(files: dict[str, dict[str, Any]], index: ListedImageFinder) -> MatLabels:
    """Return the labels of images in the order of their names (Flowers: `imagelabels.mat`).

    Arrays such as `trnid` hold the numbers of a split's images, from 1.
    """
    images = sorted(index.images)
    found = MatLabels()
    for name, variables in files.items():
        for variable, value in variables.items():
            numbers = _list_numbers(value)
            if numbers is None:
                continue
            split = next(
                (s for p, s in _SPLIT_PREFIXES.items() if variable.lower().startswith(p)), None
            )
            if len(numbers) == len(images) and "label" in variable.lower():
                found.sources.append(name)
                for path, number in zip(images, numbers, strict=True):
                    found.listed.setdefault(path, ListedImage()).labels.append(str(number))
            elif split and min(numbers) >= 1 and max(numbers) <= len(images):
                found.sources.append(name)
                for number in numbers:
                    found.listed.setdefault(images[number - 1], ListedImage()).split = split
    has_labels = any(image.labels for image in found.listed.values())
    return found if has_labels else MatLabels()


def _find_arrays(tree: FileTree, name: str) -> tuple[str, str] | None:
    """Return the variables with images [H, W, C, N] and labels [N] of a file, or None."""
    variables = _load_variables(tree, name)
    images = [
        n
        for n, value in variables.items()
        if isinstance(value, np.ndarray) and value.ndim == 4 and value.dtype == np.uint8
    ]
    for image in images:
        count = variables[image].shape[3]
        for label, value in variables.items():
            numbers = _list_numbers(value)
            if numbers is not None and len(numbers) == count:
                return image, label
    return None


def can_read(tree: FileTree) -> str | None:
    """Return the MATLAB files that label images, or hold images and labels; or None."""
    names = _list_mat_files(tree)
    try:
        arrays = [name for name in names if _find_arrays(tree, name)]
        if arrays:
            return f"images and labels in MATLAB files, {', '.join(arrays)}"
        found = _read_labels(tree) if names else MatLabels()
    except (InputError, ImageError):
        return f"MATLAB files, {', '.join(names)}"
    if not any(image.labels for image in found.listed.values()):
        return None
    return f"labels in MATLAB files, {', '.join(dict.fromkeys(found.sources))}"


def _read_arrays(tree: FileTree, name: str, variables: tuple[str, str]) -> Iterator[ImageRecord]:
    labels = _list_numbers(_load_variables(tree, name)[variables[1]]) or []
    for number, label in enumerate(labels):
        yield ImageRecord(
            build_member_source("mat", tree.get_container(name), f"{variables[0]}/{number}"),
            f"{posixpath.basename(name)}/{number:06d}",
            str(label),
            split=parse_list_split(name),
        )


def read_images(
    tree: FileTree, options: ReadOptions = DEFAULT_READ_OPTIONS
) -> Iterator[ImageRecord | RejectedFile]:
    """Yield images that MATLAB files label or hold: Stanford Cars and Dogs, Flowers, SVHN.

    The label is in a structure beside the file's name, in an array of the same length, or in the
    order of the images' names. The split is in the file's name, or in arrays such as `trnid`.

    Raises:
        InputError: a file cannot be read, or none labels images.
    """
    names = _list_mat_files(tree)
    arrays = {name: pair for name in names if (pair := _find_arrays(tree, name))}
    if arrays:
        yield from tree.rejected_files
        for name in tree.file_names:
            if name not in arrays:
                yield RejectedFile(name, "not a MATLAB file of images and labels")
        for name, variables in arrays.items():
            yield from _read_arrays(tree, name, variables)
        return
    found = _read_labels(tree)
    if not any(image.labels for image in found.listed.values()):
        raise InputError(f"ingest.data: {tree.root}: no MATLAB file in it labels its images")
    yield from build_records(tree, found.listed, options, names)
