import pytest
from jinja2 import UndefinedError

from pipeline.report.page_templates import TEMPLATE_ENVIRONMENT, render_template


def test_values_are_escaped() -> None:
    rows = [{"file_name": "<b>", "chosen_for": ""}]
    html = render_template("labeling_batch.html", rows=rows, n=1)
    assert "&lt;b&gt;" in html
    assert "<b>" not in html


def test_a_missing_value_is_an_error_and_not_a_blank() -> None:
    with pytest.raises(UndefinedError):
        render_template("training_curves.html")


def test_every_template_compiles() -> None:
    names = [name for name in TEMPLATE_ENVIRONMENT.list_templates() if name.endswith(".html")]
    assert len(names) > 15
    for name in names:
        TEMPLATE_ENVIRONMENT.get_template(name)
