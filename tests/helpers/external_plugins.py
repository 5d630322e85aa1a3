"""Plug-ins of another distribution, as pip would install them, without pip."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline import plugins

GREENNESS = '''"""The amount of green."""
UNIT, LOW_HIGH_WORDS, PERIOD, SOURCE = "of 255", ("not green", "green"), None, "pixels"

def measure(image):
    """Return the mean of the green channel."""
    return float(image.pixels[:, :, 1].mean())
'''
"""An attribute."""


def install_plugin(site_folder: Path, kind: str, name: str, source: str) -> Path:
    """Write a distribution with one plug-in, and return its module's file.

    Args:
        site_folder: a folder of `sys.path`.
        kind: adapters, attributes, remedies or sections.
        name: the plug-in.
        source: its module.
    """
    module = site_folder / f"outside_{name}.py"
    module.write_text(source, encoding="utf-8")
    info = site_folder / f"outside_{name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: outside-{name}\nVersion: 1.2\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(
        f"[nightshift.{kind}]\n{name} = outside_{name}\n", encoding="utf-8"
    )
    return module


def forget_external_plugins() -> None:
    """Make this process look for plug-ins again, and import their modules again."""
    plugins._find_external_plugins.cache_clear()
    plugins.load_plugin.cache_clear()
    for name in list(sys.modules):
        if name.startswith("outside_"):
            del sys.modules[name]
