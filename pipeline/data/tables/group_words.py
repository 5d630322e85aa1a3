"""Names of columns whose equal values belong together: subjects, bursts, locations, lesions."""

from __future__ import annotations

import re

from pipeline.data.layout.split_words import split_into_words

GROUP_WORDS = (
    "track",
    "burst",
    "sequence",
    "seq",
    "video",
    "clip",
    "session",
    "series",
    "person",
    "patient",
    "pat",
    "pt",
    "subject",
    "subj",
    "participant",
    "volunteer",
    "donor",
    "driver",
    "animal",
    "individual",
    "user",
    "owner",
    "identity",
    "lesion",
    "study",
    "exam",
    "slide",
    "specimen",
    "case",
    "visit",
    "plant",
    "tree",
    "plot",
    "scene",
    "site",
    "location",
    "place",
    "station",
    "trap",
    "device",
    "camera",
    "cam",
)
"""Words in the name of a column that groups images, in the order of preference."""
_KEY_WORDS = frozenset(
    [
        "id",
        "ids",
        "no",
        "nr",
        "num",
        "number",
        "name",
        "code",
        "key",
        "idx",
        "index",
        "uid",
        "uuid",
        "hash",
        "ref",
        "label",
        "pseudo",
        "anon",
    ]
)
_JOINED_PATTERN = re.compile(rf"({'|'.join(GROUP_WORDS)})s?_?({'|'.join(sorted(_KEY_WORDS))})?")


def rank_group_name(column: str) -> int | None:
    """Return the position of the group word that names a column, or None.

    The name may be in camelCase or joined. The group word is its last word but for words of keys,
    so that the age of a patient is no group.

    >>> rank_group_name("PatientID") == rank_group_name("patientid") == rank_group_name("pats") - 1
    True
    >>> rank_group_name("Patient Age"), rank_group_name("tracking"), rank_group_name("Tracks")
    (None, None, 0)
    """
    words = split_into_words(column)
    while len(words) > 1 and words[-1] in _KEY_WORDS:
        words.pop()
    match = _JOINED_PATTERN.fullmatch(words[-1]) if words else None
    return GROUP_WORDS.index(match[1]) if match else None


def has_group_name(column: str) -> bool:
    """Return whether a column is named as a group is."""
    return rank_group_name(column) is not None
