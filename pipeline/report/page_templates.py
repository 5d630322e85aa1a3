"""The Jinja environment of every HTML page that the package writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.domain.statuses import CauseConfidence, LabelIssueKind, SliceStatus, TrackState
from pipeline.report.sentences.number_format import TEMPLATE_FILTERS

ASSET_FOLDER = Path(__file__).parent / "assets"


def _build_environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(ASSET_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,  # a value that is not passed is an error, not a blank
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(TEMPLATE_FILTERS)
    for enum in (CauseConfidence, LabelIssueKind, SliceStatus, TrackState):
        environment.globals[enum.__name__] = enum
    return environment


TEMPLATE_ENVIRONMENT = _build_environment()


def render_template(template: str, **values: Any) -> Markup:
    """Return the template `assets/<template>` filled in; everything that is not Markup is escaped.

    Raises:
        jinja2.UndefinedError: the template uses a value that was not passed.
    """
    return Markup(TEMPLATE_ENVIRONMENT.get_template(template).render(**values))


def read_asset(name: str) -> Markup:
    """Return the text of a style sheet or script as it is embedded in a page (it holds no `</`)."""
    return Markup((ASSET_FOLDER / name).read_text(encoding="utf-8"))
