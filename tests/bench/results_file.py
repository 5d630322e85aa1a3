"""Sections and tables of a result file: each benchmark writes its own section."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

HEAD = "# Benchmarks, as measured\n\nWritten by the commands named; nothing is edited by hand.\n\n"


def write_section(path: Path, title: str, text: str) -> None:
    """Write `## title` with `text` over the section of that title, or at the end.

    Args:
        path: the result file; it is made if it does not exist.
        title: heading of the section.
        text: Markdown below the heading.
    """
    old = path.read_text(encoding="utf-8") if path.is_file() else HEAD
    section = f"## {title}\n\n{text.strip()}\n"
    known = re.search(rf"(?ms)^## {re.escape(title)}\n.*?(?=^## |\Z)", old)
    if known:
        whole = old[: known.start()] + section + "\n" + old[known.end() :]
    else:
        whole = old.rstrip("\n") + "\n\n" + section
    path.write_text(whole.rstrip("\n") + "\n", encoding="utf-8")


def format_table(rows: list[dict[str, Any]]) -> str:
    """Return rows of equal keys as a Markdown table, or an empty text without rows."""
    if not rows:
        return ""
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for row in rows:
        lines.append("| " + " | ".join(str(row[column]) for column in columns) + " |")
    return "\n".join(lines)
