"""The HTML of a check: one section, to be set in the report's frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_ENVIRONMENT = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined)


def body(found: Mapping[str, Any]) -> Markup:
    """The result of `pipeline.datasets.check` as HTML; every text in it is escaped."""
    return Markup(_ENVIRONMENT.get_template("check.html").render(found=found))
