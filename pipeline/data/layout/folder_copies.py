"""Folders that repeat the files of others: copies, and variants such as masks without a name."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from pipeline.data.layout.side_folders import FilesByFolder

REPEATED_SHARE = 0.9
"""Share of the names of the smaller folder that the other has too, for one to repeat the other."""
MIN_REPEATED_FILES = 3
"""Files below which equal names may be chance."""
_SAMPLE_SIZE = 5
_TEMPLATE_PATTERN = re.compile(r"\d+")


def find_copied_folders(
    groups: Sequence[Sequence[str]],
    files_by_folder: FilesByFolder,
    has_equal_size: Callable[[str, str], bool],
) -> tuple[dict[str, str], str | None]:
    """Return the folders that are copies, with the reason, and a sentence on unclear repetitions.

    Args:
        groups: folders of the same name within one split.
        files_by_folder: names of the image files by folder.
        has_equal_size: whether two files have equally many bytes.
    """
    copies: dict[str, str] = {}
    unclear: list[tuple[str, str]] = []
    for group in groups:
        first, *others = sorted(group, key=lambda folder: (folder.count("/"), folder))
        for other in others:
            shared = _list_shared_names(files_by_folder[first], files_by_folder[other])
            if not shared:
                continue
            is_deeper = other.count("/") > first.count("/")
            if not is_deeper and _are_numbered_alike([shared]):
                continue
            pairs = [(f"{first}/{name}", f"{other}/{name}") for name in shared]
            sample = pairs[:: max(1, len(pairs) // _SAMPLE_SIZE)]
            is_whole = len(shared) == len(files_by_folder[other])
            if is_deeper and is_whole and all(has_equal_size(*pair) for pair in sample):
                copies[other] = f"a copy of {first}/"
            else:
                unclear.append((first, other))
    if not unclear:
        return copies, None
    first, other = unclear[0]
    return copies, f"{other} repeats the file names of {first}; name one of the two as the data set"


def _list_shared_names(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """Return the names in both folders if one repeats the other, else none."""
    shared = sorted(set(first) & set(second))
    smaller = min(len(first), len(second))
    is_repetition = len(shared) >= max(MIN_REPEATED_FILES, REPEATED_SHARE * smaller)
    return shared if is_repetition else []


def find_repeated_names(
    class_folders: FilesByFolder, splits: Mapping[str, str | None]
) -> str | None:
    """Return a sentence on two class folders that hold one file of each name, or None.

    Numbered names (`001.jpg`) are often equal in all classes, so they count only if the suffixes
    differ, as those of images and masks do.

    Args:
        class_folders: names of the image files by class folder.
        splits: the split of each folder.
    """
    by_count = defaultdict(list)
    for folder, names in class_folders.items():
        if len(names) >= MIN_REPEATED_FILES:
            by_count[splits[folder], len(names)].append(folder)
    by_stems = defaultdict(list)
    for (split, _), folders in by_count.items():
        if len(folders) < 2 or _are_numbered_alike([class_folders[folder] for folder in folders]):
            continue
        for folder in folders:
            stems = frozenset(os.path.splitext(name)[0] for name in class_folders[folder])
            by_stems[split, stems].append(folder)
    for (_, stems), folders in by_stems.items():
        if len(folders) < 2:
            continue
        templates = {_TEMPLATE_PATTERN.sub("0", stem) for stem in stems}
        suffixes = {
            frozenset(os.path.splitext(name)[1].lower() for name in class_folders[folder])
            for folder in folders
        }
        if len(templates) > 1 or len(suffixes) > 1:
            return (
                f"{folders[0]} and {folders[1]} hold files of the same names, as images and their "
                "masks do; ingest.class_level=top makes both classes"
            )
    return None


def _are_numbered_alike(folders: Sequence[Sequence[str]]) -> bool:
    """Return whether the names differ in their numbers alone, by the first names of each folder."""
    sample = {name for names in folders for name in names[:_SAMPLE_SIZE]}
    return len({_TEMPLATE_PATTERN.sub("0", name) for name in sample}) == 1
