from typing import Any

from pipeline.report.image_tables import build_image_table, select_failures
from pipeline.report.report_page import ReportPage
from pipeline.storage.csv_tables import format_csv
from tests.report.conftest import build_page


def test_every_validation_image_has_its_row(page: ReportPage) -> None:
    table = build_image_table(page).set_index("image_id")
    assert list(table.index) == list(page.flips["image_id"])
    is_member = table["slices"].str.split(";").map(lambda names: "s1" in names)
    assert set(table.index[is_member]) == set(page.slice_members["s1"])
    row = page.flips.iloc[0]
    assert table.loc[row["image_id"], "top3_before"].startswith(f"{row['before']} 0.")
    assert table["map_x"].between(0, 1000).all()
    assert "luminance" in table


def test_no_absolute_path_is_in_the_table(page: ReportPage) -> None:
    assert page.images["source"].str.contains("/secret/").all()
    table = build_image_table(page).astype(str)
    assert not table.apply(lambda column: column.str.contains("/secret/")).any(axis=None)


def test_failures_are_the_misclassified_images(page: ReportPage) -> None:
    table = select_failures(build_image_table(page))
    flips = page.flips
    assert set(table["image_id"]) == set(flips.loc[flips["change"] != "still right", "image_id"])


def test_a_spreadsheet_runs_no_formula(page: ReportPage) -> None:
    table = build_image_table(page).assign(path="=HYPERLINK(1)", group="@x", slices="s1;=2")
    text = format_csv(select_failures(table))
    assert "'=HYPERLINK(1)" in text
    assert "'@x" in text
    assert "s1;'=2" in text


def test_metadata_columns_of_the_data_set_are_kept(made: dict[str, Any]) -> None:
    cameras = [f"camera {k % 3}" for k in range(len(made["images"]))]
    images = made["images"].assign(camera=cameras, before=7, shift=None)
    table = build_image_table(build_page(made | {"images": images})).set_index("image_id")
    expected = images.set_index("image_id")["camera"].reindex(table.index)
    assert list(table["camera"]) == list(expected)
    assert set(table["before"]) <= set(made["classes"]["names"])
    assert set(table["metadata_before"]) == {7}
    assert table["shift"].isna().all()
