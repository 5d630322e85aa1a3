"""Words for train, val and test in names of folders and tables, and in values of columns."""

from __future__ import annotations

import os
import re
from collections.abc import Collection

from pipeline.data.reading.image_record import SPLIT_ALIASES

_SPLIT_PATTERN = re.compile(
    r"(?P<split>train(?:ing|val)?|trn|valid(?:ation)?|val|dev|test(?:ing)?|tst)"
    r"(?:set|data|images?|imgs?|files)?\d*"
)
_WORD_ALIASES = {**SPLIT_ALIASES, "trainval": "train", "trn": "train", "tst": "test"}
_VALUE_ALIASES = {
    **_WORD_ALIASES,
    "eval": "val",
    "evaluation": "val",
    "publictest": "val",  # as in FER2013
    "privatetest": "test",
}
_PLAIN_WORDS = frozenset(
    [
        "set",
        "sets",
        "data",
        "dataset",
        "split",
        "images",
        "image",
        "imgs",
        "img",
        "photos",
        "pictures",
        "pics",
        "files",
        "folder",
        "part",
        "stage",
        "phase",
        "jpg",
        "jpeg",
        "png",
        "rgb",
        "class",
        "classes",
        "crop",
        "crops",
    ]
)
"""Words beside a split word that make no name of a class."""
_NUMBERED_SPLITS = {"0": "train", "1": "val", "2": "test"}


def split_into_words(name: str) -> list[str]:
    """Return the words of a name in lower case, without the numbers at their ends.

    >>> split_into_words("PatientID"), split_into_words("cars_train2"), split_into_words("Set A")
    (['patient', 'id'], ['cars', 'train'], ['set', 'a'])
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    words = re.split(r"[^A-Za-z0-9]+", spaced.lower())
    return [word.rstrip("0123456789") for word in words if word.rstrip("0123456789")]


def parse_split_words(name: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the only split that a name contains, and its other words.

    The other words leave out those that name no class, such as `images` and `set`. The split is
    None if the name contains no split, or two.

    >>> parse_split_words("cars_train"), parse_split_words("testset"), parse_split_words("tester")
    (('train', ('cars',)), ('test', ()), (None, ('tester',)))
    """
    splits = set()
    others = []
    for word in split_into_words(name):
        match = _SPLIT_PATTERN.fullmatch(word)
        if match:
            splits.add(_WORD_ALIASES[match["split"]])
        elif word not in _PLAIN_WORDS:
            others.append(word)
    return (splits.pop() if len(splits) == 1 else None), tuple(others)


def parse_table_split(path: str) -> str | None:
    """Return the split in the name of a table, or else in the name of its folder; or None.

    >>> parse_table_split("labels-test.csv"), parse_table_split("valid/_classes.csv")
    ('test', 'val')
    """
    folder, _, name = path.rpartition("/")
    split, _ = parse_split_words(os.path.splitext(name)[0])
    return split or parse_split_words(folder.rpartition("/")[2])[0]


def build_split_mapping(values: Collection[str]) -> dict[str, str] | None:
    """Return the split of each value of a column; None if a value is no split.

    All values are split words, or they are 0, 1 and 2 (train, val, test).

    >>> build_split_mapping(["TRAIN", "valid"])
    {'TRAIN': 'train', 'valid': 'val'}
    >>> build_split_mapping(["0", "1", "2"])
    {'0': 'train', '1': 'val', '2': 'test'}
    """
    distinct = list(dict.fromkeys(values))
    if set(distinct) == set(_NUMBERED_SPLITS):
        return {value: _NUMBERED_SPLITS[value] for value in distinct}
    mapping = {}
    for value in distinct:
        word = re.sub(r"[^a-z]+", "", value.lower())
        split = _VALUE_ALIASES.get(word) or parse_whole_split(value)
        if split is None:
            return None
        mapping[value] = split
    return mapping or None


def parse_whole_split(name: str) -> str | None:
    """Return the split of a name that holds nothing but the split, or None.

    >>> parse_whole_split("Training_set"), parse_whole_split("cars_train")
    ('train', None)
    """
    split, others = parse_split_words(name)
    return None if others else split
