"""Levels of folders that are train, val and test, or numbered parts, instead of classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.data.layout.split_words import parse_split_words

_PART_PATTERN = re.compile(
    r"(.*[ _-])?(part|batch|chunk|shard|fold|vol|volume|images?|imgs?|set|subset)[ _-]*\d{1,4}",
    re.IGNORECASE,
)
_DATE_PATTERN = re.compile(r"(19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d")


@dataclass
class FolderLevels:
    """Folders that name no class.

    Attributes:
        splits: the split of each folder that is one, by path.
        parts: paths of folders that divide the images by number or date alone.
        strays: paths of folders beside split folders, which belong to no split.
        problems: levels that may be splits or classes, one sentence each.
    """

    splits: dict[str, str] = field(default_factory=dict)
    parts: set[str] = field(default_factory=set)
    strays: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def find_folder_levels(children: Mapping[str, Sequence[str]]) -> FolderLevels:
    """Return the folders that are splits or parts.

    Args:
        children: names of the folders in each folder (`side_folders.list_child_folders`).
    """
    levels = FolderLevels()
    for parent, names in sorted(children.items()):
        prefix = f"{parent}/" if parent else ""
        deep = {name for name in names if f"{prefix}{name}" in children}
        if len(names) > 1 and all(map(_is_part, names)):
            levels.parts.update(prefix + name for name in names)
            continue
        above = levels.splits.get(parent)
        if len(names) == 1 and above and parse_split_words(names[0])[0] == above:
            levels.splits[prefix + names[0]] = above  # seg_train/seg_train
            continue
        splits, problem = _find_splits(names, deep)
        levels.splits.update({prefix + name: split for name, split in splits.items()})
        if splits:
            levels.strays.update(prefix + name for name in names if name not in splits)
        if problem:
            levels.problems.append(f"{prefix or 'the folder'}: {problem}" if prefix else problem)
    return levels


def _is_part(name: str) -> bool:
    return bool(_PART_PATTERN.fullmatch(name) or _DATE_PATTERN.fullmatch(name))


def _find_splits(names: Sequence[str], deep: set[str]) -> tuple[dict[str, str], str | None]:
    """Return the splits among folders of one level, or why they may be classes as well.

    Args:
        names: the folders.
        deep: those that contain folders.
    """
    parsed = {name: parse_split_words(name) for name in names}
    whole = {name: split for name, (split, others) in parsed.items() if split and not others}
    partial = {name: split for name, (split, others) in parsed.items() if split and others}
    affixes = {parsed[name][1] for name in partial}
    if whole and len(affixes) == 1 and len(whole) + len(partial) == len(names):
        return {name: str(parsed[name][0]) for name in names}, None
    if whole:
        rest = [name for name in names if name not in whole]
        is_clear = "train" in whole.values() and len(set(whole.values())) > 1
        if not rest or (is_clear and deep & set(whole)):
            return whole, None
        return {}, _describe_mixture(list(whole), rest)
    if len(set(partial.values())) < 2:
        return {}, None
    rest = [name for name in names if name not in partial]
    if len(affixes) == 1 and (not rest or deep & set(partial)):
        return {name: str(split) for name, split in partial.items()}, None
    if rest and len(affixes) == len(partial):
        return {}, None  # classes such as train_station and test_tube among others
    return {}, _describe_mixture(list(partial), rest)


def _describe_mixture(splits: Sequence[str], rest: Sequence[str]) -> str:
    beside = f" beside {', '.join(rest[:4])}" if rest else ""
    return f"the folders {', '.join(splits[:4])}{beside} may be splits or classes"
