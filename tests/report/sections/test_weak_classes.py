from typing import Any

import pandas as pd

from pipeline.report.run_summary import build_summary
from pipeline.report.sections.weak_classes import render
from pipeline.slices.family.class_search import CLASS_SLICE_DTYPES
from tests.report.conftest import build_page
from tests.report.sentences.plain.test_class_lines import make_finding


def test_a_finding_has_its_figures_and_is_in_the_summary(made: dict[str, Any]) -> None:
    row = make_finding(classes='["<b>"]', confused_label="<b>", training_images=None)
    table = pd.DataFrame([row], columns=list(CLASS_SLICE_DTYPES)).astype(CLASS_SLICE_DTYPES)
    page = build_page(made | {"class_slices": table})
    html = str(render(page))
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert all(text in html for text in ("1,200", "84.0", "11.0", "876", "0.002"))
    assert build_summary(page)["class_slices"][0]["training_images"] is None


def test_without_findings_there_is_no_section(made: dict[str, Any]) -> None:
    assert render(build_page(made)) == ""
