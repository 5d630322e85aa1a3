"""A report's page as PDF, printed by a Chromium that is installed on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from pipeline.contracts import InputError
from pipeline.storage.atomic_files import TEMPORARY_PREFIX

BROWSER_NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
)
"""Commands of browsers that print without a window, in the order of search."""
BROWSER_VARIABLE = "NIGHTSHIFT_BROWSER"
MAX_PRINTING_SECONDS = 120
_ARGUMENTS = (
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--no-pdf-header-footer",
)


def find_browser(command: str | None = None) -> str:
    """Return the path of a browser.

    Args:
        command: its path or name; None searches for one of `BROWSER_NAMES`.

    Raises:
        InputError: there is none.
    """
    for name in [command] if command else BROWSER_NAMES:
        if path := shutil.which(name):
            return path
    if command:
        raise InputError(f"{command}: no such browser; name the command of a Chromium or Chrome")
    raise InputError(
        "--format pdf: no Chromium or Chrome is on this machine; install one, name it in "
        f"--browser or {BROWSER_VARIABLE}, or print the page from a browser"
    )


def print_page(page: Path, pdf: Path, browser: str) -> None:
    """Print a page into a PDF file, which is replaced as a whole.

    Args:
        page: the HTML file.
        pdf: the file to write.
        browser: path of the browser.

    Raises:
        InputError: the browser failed, or took too long.
    """
    with tempfile.TemporaryDirectory() as profile:
        unfinished = pdf.with_name(f"{TEMPORARY_PREFIX}{pdf.name}.{os.getpid()}")
        command = [browser, *_ARGUMENTS, f"--user-data-dir={profile}"]
        if os.geteuid() == 0:  # Chromium has no sandbox for root
            command.append("--no-sandbox")
        command += [f"--print-to-pdf={unfinished.resolve()}", page.resolve().as_uri()]
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=MAX_PRINTING_SECONDS, check=False
            )
            if not unfinished.is_file():
                lines = done.stderr.decode(errors="replace").strip().splitlines()
                raise InputError(f"{browser}: printed nothing: {(lines or ['no message'])[-1]}")
            unfinished.replace(pdf)
        except subprocess.TimeoutExpired as error:
            raise InputError(f"{browser}: not done after {MAX_PRINTING_SECONDS} seconds") from error
        finally:
            unfinished.unlink(missing_ok=True)
