from pipeline.report.report_page import ReportPage
from pipeline.report.sections.term_list import render
from pipeline.report.sentences.plain.glossary import TERMS


def test_every_term_is_listed_with_its_meaning(page: ReportPage) -> None:
    html = str(render(page))
    assert html.count("<dt>") == len(TERMS)
