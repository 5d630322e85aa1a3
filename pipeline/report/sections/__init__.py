"""Sections of the report: one in each module, and the typed loader of these plug-ins.

A plug-in `pipeline/report/sections/<name>.py` defines `render(page: ReportPage) -> Markup`, which
returns the HTML below the heading (empty Markup omits the section), and the constant TITLE, the
heading. Its HTML is a template `pipeline/report/assets/<name>.html`, filled in by
`pipeline.report.page_templates.render_template`. What a section may draw from is in
`pipeline.report.report_page`.

Optional: TAB, one of TAB_TITLES, the entry of the navigation that leads to it (the last one without
it); HAS_OWN_HEADING, whether the HTML holds the heading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from markupsafe import Markup

from pipeline import plugins

if TYPE_CHECKING:
    from pipeline.report.report_page import ReportPage


TAB_TITLES = ("Verdict", "Slices", "Classes", "Images", "Data", "Details")
"""The navigation of a report, in the order of the page: a manager, a reviewer, an engineer."""


class ReportSection(Protocol):
    """Members of a section's module; `TAB` (str) and `HAS_OWN_HEADING` (bool) are optional.

    Attributes:
        TITLE: the section's heading.
    """

    TITLE: str

    def render(self, page: ReportPage) -> Markup:
        """Return the section's HTML; empty Markup omits the section."""
        ...


def list_sections() -> tuple[str, ...]:
    """Return the names of all sections, in the order of the report."""
    return plugins.list_plugins("sections")


def load_section(name: str) -> ReportSection:
    """Return the module of a section.

    Raises:
        KeyError: there is no such section.
        InputError: it comes from another distribution and lacks a member.
    """
    return cast(ReportSection, plugins.load_plugin("sections", name))
