"""Text and tables in GitHub's Markdown; no name of a class or file can form markup."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any

_MARKUP = re.compile(r"([\\`*_\[\]#|~$]|:(?=//))")


def escape_markdown(text: Any) -> str:
    r"""Return a text that Markdown shows as it is, in one line.

    An at sign notifies nobody, and an address becomes no link.

    >>> escape_markdown("a|b <i> @me")
    'a\\|b &lt;i&gt; &#64;me'
    """
    one_line = " ".join(str(text).split())
    escaped = _MARKUP.sub(r"\\\1", html.escape(one_line, quote=False))
    return escaped.replace("@", "&#64;").replace("www.", "www&#46;")


def format_table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table whose first column is text and whose others are numbers.

    Args:
        headings: one for each column.
        rows: their cells, which are escaped.
    """
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)]]
    for row in rows:
        lines.append(list(map(escape_markdown, row)))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
