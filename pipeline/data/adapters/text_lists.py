"""Text lists of images: `train.txt` with `path label`, or CUB's `images.txt` and its companions."""

from __future__ import annotations

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from pipeline.contracts import InputError
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    IMAGE_SUFFIXES,
    ImageRecord,
    ReadOptions,
    RejectedFile,
    is_image,
)
from pipeline.data.tables.listed_images import (
    ListedImage,
    ListedImageFinder,
    build_records,
    get_class_folder,
    parse_list_split,
)

SUPPORTED_OPTIONS = ("multi",)
LIST_SUFFIXES = (".txt", ".lst", ".list")
MAX_LISTS = 5000
"""Text files that are opened; more of them are annotations of single images."""
LISTED_SHARE = 0.1
"""Share of the images that lists must name before they are taken for the labels."""
_SAMPLE_LINES = 200
_MATCHED_SHARE = 0.7
_MAX_LABEL_LEVELS = 4
_CLASS_FILE_PATTERN = re.compile(
    r"(classes|class_?names?|labels?|names?|categories|synsets?|words|wnids|variants|species)$",
    re.IGNORECASE,
)
_SUFFIXES = "|".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
_PATH_PATTERN = re.compile(rf"^(.*?\.(?:{_SUFFIXES}))(?=[\s,;|]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class ImageList:
    """One text file that names images.

    Attributes:
        name: the file.
        rows: path of the image and the other fields, for each line that names an image.
        missing: names that lead to no image.
        keys: identifier of each row, where the lines begin with one.
    """

    name: str
    rows: list[tuple[str, list[str]]]
    missing: list[str]
    keys: dict[str, str]


def _read_lines(tree: FileTree, name: str) -> list[str]:
    text = tree.read_file(name).decode("utf-8-sig", "replace")
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith(("#", "//"))]


def _split_line(line: str) -> list[str]:
    """Return the fields of a line; the path of an image may hold spaces."""
    if "\t" in line:
        return [part.strip() for part in line.split("\t")]
    match = _PATH_PATTERN.match(line)
    if match and " " in match[1] and not re.match(r"\S+\s+\S*$", match[1]):
        return [match[1], *re.split(r"[\s,;|]+", line[match.end() :].strip(" ,;|"))]
    if re.search(r"[,;|]", line) and " " not in line.strip():
        return [part.strip() for part in re.split(r"[,;|]", line)]
    return [part for part in re.split(r"[\s,;]+", line) if part]


def _list_text_files(tree: FileTree, index: ListedImageFinder) -> list[str]:
    """Return the text files that may list images: not those named as an image is."""
    names = []
    for name in tree.file_names:
        stem, suffix = posixpath.splitext(posixpath.basename(name))
        if suffix.lower() in LIST_SUFFIXES and not index.has_stem(stem):
            names.append(name)
    return names if len(names) <= MAX_LISTS else []


def _parse_list(tree: FileTree, name: str, index: ListedImageFinder) -> ImageList | None:
    """Return the list in a text file, or None if most of its lines name no image."""
    rows = [_split_line(line) for line in _read_lines(tree, name)]
    rows = [row for row in rows if row]
    folder = posixpath.dirname(name)
    place = _find_path_field(rows, index, folder)
    if place is None:
        return None
    rows = [row for row in rows if len(row) > place]
    paths = index.find_images([row[place] for row in rows], folder)
    listed, missing, keys = [], [], {}
    for row, path in zip(rows, paths, strict=True):
        if path is None:
            missing.append(row[place])
            continue
        before, after = row[:place], row[place + 1 :]
        is_key = len(before) == 1
        if is_key:
            keys[before[0]] = path
        listed.append((path, [field for field in after if field]))
    listed = _join_words(listed)
    if len(keys) == len(listed):  # unique identifiers
        return ImageList(name, listed, missing, keys)
    if place == 1:  # a label before the path
        listed = []
        for row, path in zip(rows, paths, strict=True):
            if path is not None:
                listed.append((path, [row[0], *filter(None, row[2:])]))
    return ImageList(name, listed, missing, {})


def _join_words(rows: list[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    """Return the rows with one label of several words, where the lines differ in length."""
    widths = {len(fields) for _, fields in rows}
    is_text = any(not _is_numeric(fields) for _, fields in rows)
    if len(widths - {0}) < 2 or not is_text:
        return rows
    return [(path, [" ".join(fields)] if fields else []) for path, fields in rows]


def _find_path_field(rows: list[list[str]], index: ListedImageFinder, folder: str) -> int | None:
    """Return the place of the field that names images in most lines, or None."""
    sample = rows[:: max(1, len(rows) // _SAMPLE_LINES)]
    for place in (0, 1, 2):
        names = [row[place] for row in sample if len(row) > place]
        if len(names) < max(2, _MATCHED_SHARE * len(sample)):
            continue
        found = [path for path in index.find_images(names, folder) if path]
        is_named = sum(map(is_image, names)) * 2 > len(names)
        required = 0.5 if is_named else _MATCHED_SHARE
        # Numbers may be the names of images by chance: most must lead to different ones.
        if len(set(found)) >= max(2, required * len(names)):
            return place
    return None


def _read_lists(tree: FileTree, index: ListedImageFinder) -> list[ImageList]:
    lists = []
    for name in _list_text_files(tree, index):
        parsed = _parse_list(tree, name, index)
        if parsed is not None:
            lists.append(parsed)
    return lists


def _covers_images(lists: Sequence[ImageList], index: ListedImageFinder) -> bool:
    listed = {path for one in lists for path, _ in one.rows}
    return bool(listed) and len(listed) >= LISTED_SHARE * max(len(index.images), 1)


def can_read(tree: FileTree) -> str | None:
    """Return the lists that name images with a label or a class folder, or None.

    Raises:
        InputError: a list holds several labels for each image.
    """
    if tree.root_kind not in ("folder", "zip", "tar"):
        return None
    documents = (file.path for file in tree.rejected_files)
    if not any(name.lower().endswith(LIST_SUFFIXES) for name in chain(tree.file_names, documents)):
        return None
    tree = tree.widen()  # lists beside the folder of the images count as documents otherwise
    index = ListedImageFinder(tree.file_names)
    if not index.images:
        return None
    lists = _read_lists(tree, index)
    if not _covers_images(lists, index):
        return None
    listed = _merge_lists(tree, lists)
    labels = {label for image in listed.values() for label in image.labels}
    if len(labels) < 2:
        return None
    names = [one.name for one in lists]
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"text lists of {len(listed):,} images ({shown})"


def _merge_lists(tree: FileTree, lists: Sequence[ImageList]) -> dict[str, ListedImage]:
    """Return label and split of each listed image, from all lists and their companions.

    Raises:
        InputError: lists contradict each other.
    """
    listed: dict[str, ListedImage] = {}
    label_lists: dict[str, list[str]] = defaultdict(list)
    # a list of train and val together says less than those of one of them
    for one in lists:
        _refuse_marks(tree, one)
    for one in sorted(_drop_repeated_folds(lists), key=lambda one: "trainval" in one.name.lower()):
        names = _read_class_names(tree, one.name)
        is_split = _is_split_list(one)
        place = None if is_split else _find_label_field([fields for _, fields in one.rows])
        class_names = _map_class_names(one, place, names)
        for path, fields in one.rows:
            image = listed.setdefault(path, ListedImage())
            image.split = image.split or _get_split(one, fields, is_split)
            if place is None or place >= len(fields):
                continue
            label = class_names.get(fields[place], fields[place])
            if label not in image.labels:
                image.labels.append(label)
            if one.name not in label_lists[path]:
                label_lists[path].append(one.name)
    _add_companions(tree, lists, listed)
    if not any(image.labels for image in listed.values()):
        _label_by_folder(listed)
    else:
        for path, image in listed.items():
            if not image.labels and get_class_folder(path):
                image.labels.append(str(get_class_folder(path)))
    return listed


def _drop_repeated_folds(lists: Sequence[ImageList]) -> list[ImageList]:
    """Return the lists without further folds (`train2.txt` beside `train1.txt`).

    Folds put one image into different splits; the first fold counts.
    """
    folds: dict[tuple[str, str], list[tuple[int, ImageList]]] = defaultdict(list)
    kept = []
    for one in lists:
        stem = posixpath.splitext(posixpath.basename(one.name))[0]
        match = re.fullmatch(r"(.*?\D)(\d{1,2})", stem)
        if match and parse_list_split(one.name):
            folds[posixpath.dirname(one.name), match[1]].append((int(match[2]), one))
        else:
            kept.append(one)
    for numbered in folds.values():
        kept.append(min(numbered, key=lambda item: item[0])[1])
    return kept


def _is_split_list(one: ImageList) -> bool:
    """Return whether the last field of each line is a split (CelebA's `list_eval_partition`)."""
    values = {fields[-1] for _, fields in one.rows if fields}
    return bool(re.search(r"split|partition", one.name.lower())) and values <= {"0", "1", "2"}


def _get_split(one: ImageList, fields: list[str], is_split: bool) -> str | None:
    if is_split:
        return ("train", "val", "test")[int(fields[-1])] if fields else None
    return parse_list_split(one.name)


def _find_label_field(rows: Sequence[list[str]]) -> int | None:
    """Return the place of the label after the path, None if the other fields hold none.

    Boxes (four numbers or more) are no labels; a constant is none either if another field varies.

    Raises:
        InputError: each line holds many marks, so that an image has several labels.
    """
    known = [fields for fields in rows if fields]
    if len(known) * 2 < len(rows) or not known:
        return None
    width = Counter(map(len, known)).most_common(1)[0][0]
    columns = [[fields[k] for fields in known if len(fields) > k] for k in range(width)]
    if width >= _MAX_LABEL_LEVELS and all(map(_is_numeric, columns[:_MAX_LABEL_LEVELS])):
        return None
    for place, values in enumerate(columns):
        kinds = set(values)
        if len(kinds) > 1 and (len(kinds) * 2 <= len(values) or len(values) < 20):
            return place
    return 0 if len({fields[0] for fields in known}) == 1 and width == 1 else None


def _refuse_marks(tree: FileTree, one: ImageList) -> None:
    """Raise `InputError` for a list with a mark for each of many attributes (CelebA)."""
    rows = [fields for _, fields in one.rows]
    is_marked = all(len(f) > _MAX_LABEL_LEVELS and set(f) <= {"0", "1", "-1"} for f in rows)
    if rows and is_marked:
        raise InputError(
            f"{tree.root / one.name}: holds {len(rows[0])} marks for each image, so that an image "
            "has several labels; make one of them the label of a metadata.csv (file_name,label)"
        )


def _is_numeric(values: Sequence[str]) -> bool:
    return all(re.fullmatch(r"-?\d+(\.\d+)?", value) for value in values)


def _read_class_names(tree: FileTree, list_name: str) -> list[list[str]]:
    """Return the lines of the file with names of classes, in the folder of the list or above."""
    folders = {posixpath.dirname(list_name), "", posixpath.dirname(posixpath.dirname(list_name))}
    for name in tree.file_names:
        stem, suffix = posixpath.splitext(posixpath.basename(name))
        is_names = suffix.lower() in (".txt", ".names") and _CLASS_FILE_PATTERN.search(stem)
        if is_names and posixpath.dirname(name) in folders and name != list_name:
            return [re.split(r"\s+", line, maxsplit=1) for line in _read_lines(tree, name)]
    return []


def _map_class_names(
    one: ImageList, place: int | None, lines: Sequence[list[str]]
) -> Mapping[str, str]:
    """Return the name of each number of a class."""
    if place is None or not lines:
        return {}
    numbers = {fields[place] for _, fields in one.rows if len(fields) > place}
    by_key = {line[0]: line[1] for line in lines if len(line) == 2}
    if numbers <= set(by_key):
        return by_key
    if not all(number.isdigit() for number in numbers):
        return {}
    names = [" ".join(line) for line in lines]
    values = sorted(map(int, numbers))
    first = 1 if values and values[0] >= 1 and values[-1] == len(names) else 0
    if not values or values[-1] - first >= len(names):
        return {}
    return {str(value): names[value - first] for value in values}


def _add_companions(
    tree: FileTree, lists: Sequence[ImageList], listed: dict[str, ListedImage]
) -> None:
    """Add labels and splits of files that name images by the identifiers of a list (CUB)."""
    keys = {key: path for one in lists for key, path in one.keys.items()}
    if not keys:
        return
    list_names = {one.name for one in lists}
    for name in tree.file_names:
        stem, suffix = posixpath.splitext(posixpath.basename(name))
        if suffix.lower() != ".txt" or name in list_names or not re.search("label|split", stem):
            continue
        rows = [line.split() for line in _read_lines(tree, name)]
        rows = [row for row in rows if len(row) == 2 and row[0] in keys]
        if len(rows) < LISTED_SHARE * len(keys):
            continue
        names = {line[0]: line[-1] for line in _read_class_names(tree, name)}
        for key, value in rows:
            image = listed[keys[key]]
            if "split" in stem:  # 1 is a training image
                image.split = "train" if value == "1" else "test"
            elif not image.labels:
                image.labels.append(names.get(value, value))


def _label_by_folder(listed: dict[str, ListedImage]) -> None:
    folders = {path: get_class_folder(path) for path in listed}
    if len(set(folders.values()) - {None}) > 1:
        for path, folder in folders.items():
            if folder is not None:
                listed[path].labels.append(folder)


def read_images(
    tree: FileTree, options: ReadOptions = DEFAULT_READ_OPTIONS
) -> Iterator[ImageRecord | RejectedFile]:
    """Yield images of text lists: `path label` in each line, or a path below its class folder.

    The split is in the list's name (`train_list.txt`). `classes.txt` and the like name numbered
    classes. CUB's `images.txt`, `image_class_labels.txt` and `train_test_split.txt` are joined.
    Rejected with a reason: images that no list names, names without an image.

    Raises:
        InputError: no list names images, or images have several labels.
    """
    tree = tree.widen()
    index = ListedImageFinder(tree.file_names)
    lists = _read_lists(tree, index)
    if not lists:
        raise InputError(f"ingest.data: {tree.root}: no text file in it lists its images")
    listed = _merge_lists(tree, lists)
    yield from build_records(tree, listed, options, [one.name for one in lists])
    for one in lists:
        for name in dict.fromkeys(one.missing):
            yield RejectedFile(
                f"{one.name}: {name}", f"listed in {one.name}, but there is no such file"
            )
