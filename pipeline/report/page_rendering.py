"""The whole page: one offline HTML file that holds its style, script and data."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from pipeline.report.page_templates import read_script, read_style, render_template
from pipeline.report.report_page import ReportPage
from pipeline.report.reviewing.page_payload import build_payload
from pipeline.report.sections import TAB_TITLES, load_section
from pipeline.report.sentences.number_format import embed_json, format_plugin_name
from pipeline.report.sentences.verdict_rows import choose_outcome_text


@dataclass(frozen=True)
class RenderedSection:
    """A section of a document.

    Attributes:
        name: anchor of the section.
        title: its heading, also in the navigation.
        body: its HTML.
        has_own_heading: whether `body` holds the heading.
        tab: the entry of the navigation that leads to it; empty for an entry of its own.
    """

    name: str
    title: str
    body: Markup
    has_own_heading: bool = False
    tab: str = ""


@dataclass(frozen=True)
class PageTab:
    """An entry of the navigation with the sections that it leads to.

    Attributes:
        anchor: anchor of the first section.
        title: text of the entry.
        sections: the sections, in order.
    """

    anchor: str
    title: str
    sections: tuple[RenderedSection, ...]


def group_into_tabs(sections: Iterable[RenderedSection]) -> list[PageTab]:
    """Return the entries of the navigation: sections that follow each other with one tab are one.

    >>> parts = [RenderedSection(n, n, Markup(), tab=t) for n, t in (("a", "A"), ("b", "A"))]
    >>> [(tab.anchor, tab.title, len(tab.sections)) for tab in group_into_tabs(parts)]
    [('tab-a', 'A', 2)]
    """
    tabs = []
    for title, members in groupby(sections, lambda section: section.tab or section.title):
        parts = tuple(members)
        tabs.append(PageTab(f"tab-{parts[0].name}", title, parts))
    return tabs


def build_content_policy(style: str, script: str, image_sources: str = "data:") -> str:
    """Return a Content-Security-Policy that allows this style and script and these images only."""
    hashes = []
    for text in (style, script):
        hashes.append(base64.b64encode(hashlib.sha256(text.encode()).digest()).decode())
    return (
        f"default-src 'none'; img-src {image_sources}; style-src 'sha256-{hashes[0]}'; "
        f"script-src 'sha256-{hashes[1]}'; base-uri 'none'; form-action 'none'"
    )


def render_document(
    title: str,
    run_id: str,
    *,
    sections: Sequence[RenderedSection] = (),
    introduction: Markup | None = None,
    data: str = "",
    scripts: Sequence[str] = (),
    index_link: str = "",
    version: str = "",
) -> str:
    """Return a whole HTML document.

    Args:
        title: title of the browser's window.
        run_id: text beside the product's name.
        sections: sections of the document, in order.
        introduction: HTML above the sections.
        data: JSON that the script reads; empty for a page without a script.
        scripts: files of the script beside `core.js`.
        index_link: address of the list of all runs; empty without one.
        version: version of Nightshift in the footer.
    """
    style, script = read_style(), read_script(*scripts)
    document = render_template(
        "page.html",
        title=title,
        run_id=run_id,
        style=style,
        script=script,
        policy=build_content_policy(style, script),
        tabs=group_into_tabs(sections),
        introduction=introduction or Markup(""),
        data=data,
        index_link=index_link,
        is_interactive="script.js" in scripts,
        version=version,
    )
    return str(document)


def render_sections(page: ReportPage, section_names: Iterable[str]) -> list[RenderedSection]:
    """Return the sections of these names by tab, in this order, without the empty ones."""
    sections = []
    for name in section_names:
        section = load_section(name)
        body = section.render(page)
        if body:
            title = getattr(section, "TITLE", format_plugin_name(name).capitalize())
            has_own_heading = bool(getattr(section, "HAS_OWN_HEADING", False))
            tab = getattr(section, "TAB", "")
            tab = tab if tab in TAB_TITLES else TAB_TITLES[-1]
            sections.append(RenderedSection(name, title, body, has_own_heading, tab))
    return sorted(sections, key=lambda section: TAB_TITLES.index(section.tab))


def render_page(page: ReportPage, section_names: Iterable[str]) -> str:
    """Return the report with the sections of these names in this order."""
    sections = render_sections(page, section_names)
    outcome = choose_outcome_text(page["verdict"]["promoted"], page["comparison"].get("outcome"))
    return render_document(
        f"{outcome}: {page.run_id}, Nightshift",
        page.run_id,
        sections=sections,
        data=embed_json(build_payload(page)),
        scripts=("script.js",),
        index_link="../index.html",
        version=str(page.run_facts.get("versions", {}).get("nightshift", "")),
    )
