"""One section of RESULTS.md at a time: each benchmark writes its own and leaves the others."""

from __future__ import annotations

import re
from pathlib import Path

HEAD = "# Benchmarks, as measured\n\nWritten by the commands named; nothing is edited by hand.\n\n"


def write_section(path: Path, title: str, text: str) -> None:
    """Put `## title` with `text` in the place of the section of that title, or at the end."""
    old = path.read_text(encoding="utf-8") if path.is_file() else HEAD
    new = f"## {title}\n\n{text.strip()}\n"
    found = re.search(rf"(?ms)^## {re.escape(title)}\n.*?(?=^## |\Z)", old)
    whole = (
        old[: found.start()] + new + "\n" + old[found.end() :]
        if found
        else old.rstrip("\n") + "\n\n" + new
    )
    path.write_text(whole.rstrip("\n") + "\n", encoding="utf-8")
