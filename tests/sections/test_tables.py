import pandas as pd

from pipeline.sections import Page
from pipeline.sections.tables import failures, photo_table
from tests.factory import planted
from tests.sections.conftest import build_page


def test_every_validation_photo_has_its_row(page: Page) -> None:
    table = photo_table(page).set_index("image_id")
    assert list(table.index) == list(page.flips["image_id"])
    assert set(table[table["slices"].str.split(";").map(lambda s: "s1" in s)].index) == set(page.members["s1"])
    row = page.flips.iloc[0]
    assert table.loc[row["image_id"], "top3_before"].startswith(f"{row['before']} 0.")
    assert table["map_x"].between(0, 1000).all()
    assert "luminance" in table
    assert not table.astype(str).apply(lambda c: c.str.contains("/secret/")).any(axis=None)


def test_failures_are_the_misread_ones(page: Page) -> None:
    table = failures(photo_table(page))
    flips = page.flips
    assert set(table["image_id"]) == set(flips.loc[flips["change"] != "still right", "image_id"])


def test_a_spreadsheet_runs_nothing() -> None:
    page = build_page(planted())
    table = photo_table(page)
    evil = table.assign(path="=HYPERLINK(1)", group="@x", label="-2+3")
    first = failures(evil).iloc[0]
    assert (first["path"], first["group"], first["label"]) == ("'=HYPERLINK(1)", "'@x", "'-2+3")
    assert pd.api.types.is_numeric_dtype(failures(evil)["p_after"])
