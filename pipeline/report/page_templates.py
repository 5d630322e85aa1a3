"""The Jinja environment of every HTML page that the package writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rcssmin
import rjsmin
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.domain.statuses import CauseConfidence, LabelIssueKind, SliceStatus, TrackState
from pipeline.graph import ARTIFACT_CONTRACTS, find_producer
from pipeline.report.sentences.number_format import TEMPLATE_FILTERS
from pipeline.report.sentences.plain.glossary import TERMS

ASSET_FOLDER = Path(__file__).parent / "assets"


def mark_term(term: str, text: str = "") -> Markup:
    """Return a term of the glossary with its meaning on hover.

    Args:
        term: the term.
        text: what is printed; the term by default.

    Raises:
        KeyError: the glossary lacks the term.
    """
    return Markup('<abbr title="{}">{}</abbr>').format(TERMS[term], text or term)


def cite_source(artifact: str, columns: str) -> Markup:
    """Return the file of the run folder and the columns that a figure is drawn from.

    Args:
        artifact: name of the artifact.
        columns: its columns or keys.

    Raises:
        KeyError: no stage makes such an artifact.
    """
    file = f"{find_producer(artifact).name}/{artifact}{ARTIFACT_CONTRACTS[artifact].suffix}"
    template = Markup('<span class="source">From <code>{}</code>: <code>{}</code></span>')
    return template.format(file, columns)


def _build_environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(ASSET_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,  # a value that is not passed is an error, not a blank
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(TEMPLATE_FILTERS)
    environment.filters["term"] = mark_term
    environment.globals["source"] = cite_source
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


def read_style() -> Markup:
    """Return the style sheet of every page, minified."""
    return Markup(rcssmin.cssmin("".join(map(read_asset, ("style.css", "explorer.css")))))


def read_script(*names: str) -> Markup:
    """Return `core.js` and these scripts as one, minified. It holds no `</`."""
    text = "".join(map(read_asset, ("core.js", *names)))
    return Markup('(() => {"use strict";' + rjsmin.jsmin(text) + "})();")


def read_asset(name: str) -> Markup:
    """Return the text of a style sheet or script as it is embedded in a page (it holds no `</`)."""
    return Markup((ASSET_FOLDER / name).read_text(encoding="utf-8"))
