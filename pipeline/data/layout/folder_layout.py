"""Which folders of a data set are classes, splits, groups, or none of these."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.data.layout.folder_copies import find_copied_folders, find_repeated_names
from pipeline.data.layout.folder_splits import FolderLevels, find_folder_levels
from pipeline.data.layout.side_folders import (
    CONTAINER_NAMES,
    FilesByFolder,
    find_mask_files,
    find_side_folders,
    list_child_folders,
)
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import ReadOptions
from pipeline.data.reading.image_sources import get_local_path

NOT_IN_CLASS_REASON = "not in a class folder"
_STRAY_REASON = "in a folder beside the splits"
_GROUP_PATTERN = re.compile(
    r"(patient|pat|subject|subj|sub|person|participant|driver|video|vid|clip|session|sequence|seq|"
    r"burst|track|case|study|series|visit|lesion|slide|specimen)[ _-]*\d+",
    re.IGNORECASE,
)
_LISTED_CLASSES = 4
_ClassLevel = str | int | None
_Parts = tuple[str, ...]


@dataclass(frozen=True)
class FolderLabel:
    """Label and split of the images in a folder, from its path.

    Attributes:
        label: the class, or None.
        split: train, val or test, or None.
        group: folders that are named after patients, videos and the like, or None.
    """

    label: str | None
    split: str | None
    group: str | None = None


@dataclass(frozen=True)
class FolderLayout:
    """The folders of a data set.

    Attributes:
        labels: what each folder of images says, by path.
        set_aside: the reason why the images of a folder, or one image, are not used, by path.
        problem: why the folders do not tell the classes, as one sentence; None if they do.
        notes: each choice that was made, one line each.
        level_counts: images by class for each level of folders that may be the class.
    """

    labels: Mapping[str, FolderLabel] = field(default_factory=dict)
    set_aside: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None
    notes: tuple[str, ...] = ()
    level_counts: Mapping[int, Mapping[str, int]] = field(default_factory=dict)

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, sorted."""
        return sorted({item.label for item in self.labels.values() if item.label})

    @property
    def splits(self) -> list[str]:
        """Splits that hold classes, sorted."""
        return sorted({i.split for i in self.labels.values() if i.label and i.split})


def recognize_layout(
    files_by_folder: FilesByFolder,
    class_level: _ClassLevel = None,
    has_equal_size: Callable[[str, str], bool] = lambda one, other: False,
) -> FolderLayout:
    """Return which folders are classes and splits, or why they do not tell.

    Args:
        files_by_folder: names of the image files by folder.
        class_level: `top`, `leaf` or a number (1 is the top) of the folder that is the class; None
            where only one level can be.
        has_equal_size: whether two files have equally many bytes; decides whether files of one
            name are copies.
    """
    side, unsure = find_side_folders(files_by_folder)
    set_aside = dict(side)
    folders = [f for f in files_by_folder if not _find_ancestor(f, side)]
    levels = find_folder_levels(list_child_folders(folders))
    if class_level is not None:
        levels.parts, unsure = set(), []
        if levels.problems:
            levels = FolderLevels(levels.splits, problems=[], strays=levels.strays)
    for stray in levels.strays:
        set_aside[stray] = _STRAY_REASON
    folders = [f for f in folders if not _find_ancestor(f, set_aside)]
    masks = find_mask_files({folder: files_by_folder[folder] for folder in folders})
    counts = {f: len(files_by_folder[f]) for f in folders}
    for path in masks:
        counts[path.rpartition("/")[0]] -= 1
    parts, splits, problems = _strip_folders(folders, levels)
    if class_level is not None and not any(parts.values()):
        parts = {f: tuple(f.split("/")) if f else () for f in folders}
        splits = dict.fromkeys(folders)
    groups = _strip_groups(parts) if class_level is None else {}
    copies, copy_problem = _find_copies(parts, splits, files_by_folder, has_equal_size)
    set_aside |= copies
    parts = {f: p for f, p in parts.items() if f not in copies}
    _strip_constants(parts)
    problems = [
        *(f"the folder {path} may hold masks or be a class" for path in unsure),
        *levels.problems,
        *problems,
    ]
    labels, level_counts, level_problem = _assign_labels(parts, counts, class_level)
    if len(set(labels.values())) == 1 and len({splits[f] for f in labels} - {None}) > 1:
        labels = {}  # a folder that holds the splits
    found = {f: FolderLabel(labels.get(f), splits[f], groups.get(f)) for f in parts}
    has_labels = any(labels.values())
    if not problems and has_labels and class_level is None:
        problems += [
            *filter(None, [level_problem, copy_problem]),
            *_find_suspicions(found, counts, files_by_folder),
        ]
    elif level_problem and class_level is not None:
        problems = [level_problem]
    notes = _describe_steps(set_aside, groups)
    problem = "; ".join(dict.fromkeys(problems)) or None
    return FolderLayout(found, set_aside | masks, problem, notes, level_counts)


def _find_ancestor(folder: str, marked: Iterable[str] | Mapping[str, str]) -> str | None:
    """Return the folder itself or the folder above it that is marked, or None."""
    while folder:
        if folder in marked:
            return folder
        folder = folder.rpartition("/")[0]
    return None


def _strip_folders(
    folders: Sequence[str], levels: FolderLevels
) -> tuple[dict[str, _Parts], dict[str, str | None], list[str]]:
    """Return the folders' names that may be classes, the splits, and contradictions."""
    parts: dict[str, _Parts] = {}
    splits: dict[str, str | None] = {}
    problems = []
    for folder in folders:
        kept: list[str] = []
        found: dict[str, None] = {}
        path = ""
        for name in folder.split("/") if folder else ():
            path = f"{path}/{name}" if path else name
            if path in levels.splits:
                found[levels.splits[path]] = None
            elif path not in levels.parts and name.lower() not in CONTAINER_NAMES:
                kept.append(name)
        if len(found) > 1:
            problems.append(f"{folder} is in the splits {' and '.join(found)}")
        parts[folder] = tuple(kept)
        splits[folder] = next(iter(found), None)
    return parts, splits, problems


def _strip_groups(parts: dict[str, _Parts]) -> dict[str, str]:
    """Remove the first or last names if all are named after patients, videos, ...; return them."""
    groups: dict[str, str] = {}
    for position in (-1, 0):
        named = {folder: names for folder, names in parts.items() if len(names) > 1}
        if not named or len(named) < sum(map(bool, parts.values())):
            continue
        if all(_GROUP_PATTERN.fullmatch(names[position]) for names in named.values()):
            for folder, names in named.items():
                groups[folder] = "/".join(filter(None, [groups.get(folder), names[position]]))
                parts[folder] = names[1:] if position == 0 else names[:-1]
    return groups


def _strip_constants(parts: dict[str, _Parts]) -> None:
    """Remove names that all folders share, as long as each keeps one."""
    while True:
        named = [names for names in parts.values() if names]
        for position in (0, -1):
            is_long = named and all(len(names) > 1 for names in named)
            if is_long and len({names[position] for names in named}) == 1:
                break
        else:
            return
        for folder, names in parts.items():
            if names:
                parts[folder] = names[1:] if position == 0 else names[:-1]


def _find_copies(
    parts: Mapping[str, _Parts],
    splits: Mapping[str, str | None],
    files_by_folder: FilesByFolder,
    has_equal_size: Callable[[str, str], bool],
) -> tuple[dict[str, str], str | None]:
    """Return folders that repeat a folder above theirs, and a sentence on other repetitions."""
    named = defaultdict(list)
    for folder, names in parts.items():
        if names:
            named[splits[folder], names[-1]].append(folder)
    groups = [folders for folders in named.values() if len(folders) > 1]
    return find_copied_folders(groups, files_by_folder, has_equal_size)


def _assign_labels(
    parts: Mapping[str, _Parts], counts: Mapping[str, int], class_level: _ClassLevel
) -> tuple[dict[str, str], dict[int, dict[str, int]], str | None]:
    """Return the class by folder, the counts by level, and why no level can be chosen."""
    named = {folder: names for folder, names in parts.items() if names}
    depth = max(map(len, named.values()), default=0)
    if class_level is not None:
        level = {"top": 1, "leaf": depth}.get(str(class_level)) or int(class_level)
        if not 1 <= level <= max(depth, 1):
            return {}, {}, f"ingest.class_level is {level}, but the class folders have {depth}"
        if class_level == "leaf":
            return {folder: names[-1] for folder, names in named.items()}, {}, None
        return {f: names[min(level, len(names)) - 1] for f, names in named.items()}, {}, None
    labels = {folder: names[0] for folder, names in named.items()}
    pairs = {(names[0], names[-1]) for names in named.values()}
    tops, leaves = Counter(pair[0] for pair in pairs), Counter(pair[1] for pair in pairs)
    if len(pairs) == len(tops) == len(leaves):  # both levels divide the images alike
        return labels, {}, None
    level_counts: dict[int, dict[str, int]] = {}
    for level in range(1, depth + 1):
        found = Counter[str]()
        for folder, names in named.items():
            found[names[min(level, len(names)) - 1]] += counts[folder]
        level_counts[level] = dict(found)
    return labels, level_counts, _describe_levels(level_counts)


def _describe_levels(level_counts: Mapping[int, Mapping[str, int]]) -> str:
    texts = []
    for level, found in level_counts.items():
        largest = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        listed = ", ".join(f"{name} {count}" for name, count in largest[:_LISTED_CLASSES])
        more = ", ..." if len(found) > _LISTED_CLASSES else ""
        texts.append(f"level {level}: {len(found)} ({listed}{more})")
    last = max(level_counts)
    options = ", ".join(["top (level 1)", *map(str, range(2, last)), f"leaf (level {last})"])
    return (
        f"the folders are nested, and each level gives other classes ({'; '.join(texts)}); set "
        f"ingest.class_level to {options}, or name one of the folders as the data set"
    )


def _find_suspicions(
    labels: Mapping[str, FolderLabel], counts: Mapping[str, int], files_by_folder: FilesByFolder
) -> list[str]:
    """Return what speaks against the classes: images without class, groups as classes, ..."""
    problems = []
    by_split: dict[str | None, Counter[bool]] = defaultdict(Counter)
    for folder, item in labels.items():
        by_split[item.split][item.label is not None] += counts[folder]
    for split, found in by_split.items():
        if found[False] > found[True] and split != "test":
            place = f"of {split} " if split else ""
            problems.append(
                f"{found[False]} images {place}are in no class folder, and only {found[True]} are"
            )
    names = sorted({item.label for item in labels.values() if item.label})
    if len(names) > 1 and all(map(_GROUP_PATTERN.fullmatch, names)):
        problems.append(
            f"the folders ({', '.join(names[:_LISTED_CLASSES])}) are named as groups; "
            "ingest.class_level=top makes them classes"
        )
    class_folders = {f: files_by_folder[f] for f, item in labels.items() if item.label}
    repeated = find_repeated_names(class_folders, {f: labels[f].split for f in class_folders})
    return problems + ([repeated] if repeated else [])


def _describe_steps(set_aside: Mapping[str, str], groups: Mapping[str, str]) -> tuple[str, ...]:
    notes = [f"{folder}/ is left out: {reason}" for folder, reason in sorted(set_aside.items())]
    if groups:
        count = len(set(groups.values()))
        notes.append(f"{count} folders such as {next(iter(groups.values()))} are the groups")
    return tuple(notes)


def recognize_tree_layout(tree: FileTree, options: ReadOptions) -> FolderLayout:
    """Return the layout of a data set's folders."""

    def has_equal_size(one: str, other: str) -> bool:
        paths = [get_local_path(tree.get_source(name)) for name in (one, other)]
        if tree.root_kind != "folder" or None in paths:
            return False
        try:
            return os.path.getsize(str(paths[0])) == os.path.getsize(str(paths[1]))
        except OSError:
            return False

    key = (recognize_tree_layout, options.image_folder, options.class_level)
    if key not in tree.findings:
        files_by_folder = tree.index_images(options.image_folder).files_by_folder
        tree.findings[key] = recognize_layout(files_by_folder, options.class_level, has_equal_size)
    layout: FolderLayout = tree.findings[key]
    return layout
