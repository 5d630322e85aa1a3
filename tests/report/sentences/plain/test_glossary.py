"""The words of the page: pipeline/report/sentences/plain/glossary.py."""

import re

import pytest

from pipeline.report.page_templates import ASSET_FOLDER, mark_term
from pipeline.report.sentences.plain.glossary import TERMS


def test_the_terms_are_sorted_and_each_used_one_has_a_meaning() -> None:
    assert list(TERMS) == sorted(TERMS)
    used = set()
    for template in ASSET_FOLDER.glob("*.html"):
        used |= set(re.findall(r'\{\{ "([^"]+)"\|term', template.read_text(encoding="utf-8")))
    assert used
    assert used <= set(TERMS)


def test_an_unknown_term_is_an_error() -> None:
    with pytest.raises(KeyError):
        mark_term("gizmo")
