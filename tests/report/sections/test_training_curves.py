from typing import Any

from pipeline.domain.statuses import ModelOrigin
from pipeline.report.report_page import ReportPage
from pipeline.report.sections.training_curves import render
from tests.report.conftest import build_page


def test_the_section_has_curves_gap_and_judgment(page: ReportPage) -> None:
    html = str(render(page))
    assert html.count('<svg class="chart"') == 2
    assert html.count('class="gap"') == 2
    assert "Overfitting from step 600" in html
    table = page["history"].query("step == 500").set_index("split")["accuracy"]
    assert f"a gap of +{100 * (table['train'] - table['holdout']):.1f} points" in html


def test_a_model_used_without_training_has_no_curves(made: dict[str, Any]) -> None:
    record = dict.fromkeys(made["training"], None) | {"origin": ModelOrigin.CHAMPION}
    html = str(render(build_page(made | {"history": made["history"].iloc[:0], "training": record})))
    assert "<svg" not in html
    assert "The champion was taken as it is" in html
