"""The HTML of a check: one section, to be set in the report's frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_TEMPLATE_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "assets"),
    autoescape=True,
    undefined=StrictUndefined,
)


def render_health_section(health: Mapping[str, Any]) -> Markup:
    """The result of `pipeline.data.quality.dataset_health` as HTML; every text in it is escaped."""
    return Markup(_TEMPLATE_ENVIRONMENT.get_template("health_page.html").render(found=health))
