"""Shared beginnings of texts: a grouping of their values that looks at no outcome."""

from __future__ import annotations

import re
from collections.abc import Mapping

# The end of a part of a text: a sign, or the border between letters and digits.
_PART_END = re.compile(r"[\W_]+|(?<=\D)(?=\d)|(?<=\d)(?=[^\W\d])")


def list_value_prefixes(image_counts: Mapping[str, int], max_prefixes: int) -> list[str]:
    """Return the beginnings that several values share, up to the end of a part.

    Args:
        image_counts: images of each value.
        max_prefixes: most beginnings; those of most images are kept.

    >>> list_value_prefixes({"cam-north-1": 3, "cam-north-2": 3, "cam-south-1": 9}, 100)
    ['cam-north-']
    >>> list_value_prefixes({"line1_a": 4, "line1_b": 4, "line2_a": 5, "line2_b": 5}, 100)
    ['line1_', 'line2_']
    >>> list_value_prefixes({"line1_a": 4, "line1_b": 4, "line2_a": 5, "line2_b": 5}, 1)
    ['line2_']
    """
    values_of: dict[str, set[str]] = {}
    for value in image_counts:
        for match in _PART_END.finditer(value):
            values_of.setdefault(value[: match.end()], set()).add(value)
    distinct: dict[frozenset[str], str] = {}
    for prefix in sorted(values_of, key=len):
        members = frozenset(values_of[prefix])
        if 1 < len(members) < len(image_counts):
            distinct[members] = prefix
    sizes = {
        prefix: sum(image_counts[name] for name in names) for names, prefix in distinct.items()
    }
    return sorted(sorted(sizes, key=lambda prefix: (-sizes[prefix], prefix))[:max_prefixes])


def has_shared_prefix(values: set[str]) -> bool:
    """Return whether some of the values, and not all, begin alike.

    >>> has_shared_prefix({"device-1/a", "device-1/b", "device-2/c"})
    True
    >>> has_shared_prefix({"note 1", "note 2", "note 3"})
    False
    """
    return bool(list_value_prefixes(dict.fromkeys(values, 1), 1))
