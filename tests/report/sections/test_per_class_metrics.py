from typing import Any

from sklearn.metrics import precision_recall_fscore_support

from pipeline.report.report_page import ReportPage
from pipeline.report.sections.per_class_metrics import render
from pipeline.report.sentences.number_format import format_percent
from tests.report.conftest import build_page


def test_the_table_agrees_with_scikit_learn(page: ReportPage) -> None:
    html = str(render(page))
    flips = page["flips"]
    for column in ("before", "after"):
        table = precision_recall_fscore_support(
            flips["label"], flips[column], labels=page.class_names
        )
        for precision, recall, f1, support in zip(*table, strict=True):
            assert all(format_percent(float(x)) in html for x in (precision, recall, f1))
            assert f'data-v="{support}"' in html


def test_a_class_without_images_is_not_the_weakest(made: dict[str, Any]) -> None:
    html = str(
        render(build_page(made | {"classes": {"names": ["absent", *made["classes"]["names"]]}}))
    )
    assert '<bdi class="name">absent' not in html
    assert '<bdi class="clip" title="absent">absent' in html
