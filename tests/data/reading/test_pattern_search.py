"""Regular expressions of users: pipeline/data/reading/pattern_search.py."""

from __future__ import annotations

import re

import pytest

from pipeline.contracts import InputError
from pipeline.data.reading.pattern_search import search_first_groups


def test_groups_are_those_of_the_standard_library() -> None:
    texts = ["cam-12/a.png", "none", "n\u00e4chte-7", "", "x-1\u2028y-2"]
    pattern = r"-(\d+)"
    expected = [match and match[1] for match in (re.search(pattern, text) for text in texts)]
    assert search_first_groups(pattern, texts, "ingest.group_pattern") == expected
    assert search_first_groups(pattern, [], "ingest.group_pattern") == []


def test_a_pattern_without_end_is_one_line() -> None:
    with pytest.raises(InputError, match=r"ingest\.group_pattern: .*takes over 1 seconds"):
        search_first_groups("^(a+)+$", ["a" * 60 + "!"], "ingest.group_pattern", max_seconds=1.0)
