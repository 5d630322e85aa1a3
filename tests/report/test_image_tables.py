import pandas as pd

from pipeline.report.image_tables import build_image_table, select_failures
from pipeline.report.report_page import ReportPage
from tests.factory import planted
from tests.report.conftest import build_page


def test_every_validation_image_has_its_row(page: ReportPage) -> None:
    table = build_image_table(page).set_index("image_id")
    assert list(table.index) == list(page.flips["image_id"])
    assert set(table[table["slices"].str.split(";").map(lambda s: "s1" in s)].index) == set(
        page.slice_members["s1"]
    )
    row = page.flips.iloc[0]
    assert table.loc[row["image_id"], "top3_before"].startswith(f"{row['before']} 0.")
    assert table["map_x"].between(0, 1000).all()
    assert "luminance" in table
    assert not table.astype(str).apply(lambda c: c.str.contains("/secret/")).any(axis=None)


def test_failures_are_the_misread_ones(page: ReportPage) -> None:
    table = select_failures(build_image_table(page))
    flips = page.flips
    assert set(table["image_id"]) == set(flips.loc[flips["change"] != "still right", "image_id"])


def test_a_spreadsheet_runs_nothing() -> None:
    page = build_page(planted())
    table = build_image_table(page)
    evil = table.assign(path="=HYPERLINK(1)", group="@x", label="-2+3")
    first = select_failures(evil).iloc[0]
    assert (first["path"], first["group"], first["label"]) == ("'=HYPERLINK(1)", "'@x", "'-2+3")
    assert pd.api.types.is_numeric_dtype(select_failures(evil)["p_after"])
