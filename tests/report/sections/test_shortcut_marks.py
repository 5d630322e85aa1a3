import json
from typing import Any

import pandas as pd

from pipeline.report.run_summary import build_summary
from pipeline.report.sections.shortcut_marks import render
from pipeline.slices.shortcuts.shortcut_detection import SHORTCUT_COLUMNS
from tests.report.conftest import build_page


def make_shortcuts(status: str, q: float) -> pd.DataFrame:
    shares = {
        "area": 0.07,
        "covered": 0.79,
        "object": 0.03,
        "pasted": 0.96,
        "placebo": 0.02,
        "p_value": q,
    }
    grids = {"grid": json.dumps([0.79, 0.0, 0.01, 0.02]), "mark": json.dumps([0.4, 0.0, 0.0, 0.0])}
    row = {"label": "<b>", "status": status, "n": 106, "groups": 79, "others": 193, "q_value": q}
    return pd.DataFrame([row | shares | grids], columns=list(SHORTCUT_COLUMNS)).astype(
        SHORTCUT_COLUMNS
    )


def test_a_confirmed_mark_has_its_grid_and_is_in_the_summary(made: dict[str, Any]) -> None:
    page = build_page(made | {"shortcuts": make_shortcuts("confirmed", 0.001)})
    html = str(render(page))
    assert "&lt;b&gt;: the model relies on the mark" in html
    assert "<b>" not in html
    assert html.count("<rect") == 4
    assert html.count('stroke-width="2"') == 1
    assert "q = 0.001" in html
    assert build_summary(page)["shortcuts"][0]["status"] == "confirmed"


def test_too_few_groups_are_stated_and_without_marks_there_is_no_section(
    made: dict[str, Any],
) -> None:
    html = str(
        render(build_page(made | {"shortcuts": make_shortcuts("not testable", float("nan"))}))
    )
    assert "too few groups to test" in html
    assert "q =" not in html
    assert render(build_page(made)) == ""
