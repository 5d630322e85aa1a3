"""Regular expressions of users, searched in a process of their own that can be ended.

Some patterns take time that doubles with each character, and Python cannot interrupt a search.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from pipeline.contracts import InputError

MAX_SEARCH_SECONDS = 120.0
"""A million paths take a few seconds with a pattern that does not backtrack."""
_PROGRAM = """
import json, re, sys
pattern, texts = json.load(sys.stdin)
search = re.compile(pattern).search
json.dump([match and match[1] for match in map(search, texts)], sys.stdout)
"""


def search_first_groups(
    pattern: str, texts: Sequence[str], setting_key: str, max_seconds: float = MAX_SEARCH_SECONDS
) -> list[str | None]:
    """Return the text in the first brackets of a pattern for each text; None without a match.

    Args:
        pattern: a valid regular expression with brackets.
        texts: the texts to search.
        setting_key: the setting that holds the pattern, for the error message.
        max_seconds: longest time of all searches together.

    Raises:
        InputError: the searches take longer.
    """
    try:
        result = subprocess.run(
            [sys.executable, "-I", "-c", _PROGRAM],
            input=json.dumps([pattern, list(texts)]),
            capture_output=True,
            text=True,
            timeout=max_seconds,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"{setting_key}: {pattern!r} takes over {max_seconds:g} seconds on {len(texts):,} "
            "paths; write it without a repeat inside a repeat, such as (a+)+"
        ) from error
    groups: list[str | None] = json.loads(result.stdout)
    return groups
