from pathlib import Path

import pandas as pd

from pipeline.integrations.run_messages import compose_slice_message
from pipeline.report.exports.export_files import write_export_files
from pipeline.report.report_page import ReportPage
from pipeline.report.run_summary import build_summary


def test_every_table_column_names_its_source(page: ReportPage, tmp_path: Path) -> None:
    write_export_files(page, build_summary(page), tmp_path)
    columns = pd.read_csv(tmp_path / "columns.csv").set_index("column")
    for file in ("failures.csv", "images.parquet"):
        read = pd.read_csv if file.endswith("csv") else pd.read_parquet
        assert set(read(tmp_path / file).columns) == set(columns.index), file
    assert columns.loc["luminance", "artifact"] == "measure/attributes"
    for name, row in columns.iterrows():
        artifact = row["artifact"].split("/")[1]
        table = page.artifacts.get(artifact)
        if isinstance(table, pd.DataFrame):
            assert row["source_column"] in table, name


def test_the_markdown_shows_the_pictures_beside_it(page: ReportPage, tmp_path: Path) -> None:
    write_export_files(page, build_summary(page), tmp_path)
    text = (tmp_path / "summary.md").read_text()
    for picture in tmp_path.glob("*.png"):
        assert f"]({picture.name})" in text
    assert (tmp_path / "confusion_matrix.png").is_file()
    assert len(pd.read_csv(tmp_path / "results.csv")) == page["history"]["step"].nunique()


def test_a_slice_has_the_same_counts_everywhere(page: ReportPage, tmp_path: Path) -> None:
    summary = build_summary(page)
    write_export_files(page, summary, tmp_path)
    images = pd.read_parquet(tmp_path / "images.parquet")
    failures = pd.read_csv(tmp_path / "failures.csv").fillna({"slices": ""})
    row = summary["slices"][0]  # the other slices of the factory have no images of their own
    members, failing = (
        table[table["slices"].str.split(";").map(lambda names: row["slice"] in names)]
        for table in (images, failures)
    )
    assert len(members) == len(row["image_ids"]) == row["n"]
    for table in (members, failing):
        assert (table["before"] != table["label"]).sum() == row["failures"]
    counts = f"{row['failures']} of its {row['n']} images are misclassified"
    assert counts in (tmp_path / "summary.md").read_text()
    followed = {"slice": row["slice"], "state": "new", "words": ""}
    message = compose_slice_message(summary | {"followed": [followed]}, "gate", "index.html")
    assert message is not None
    assert f"- new: {row['title']}: {counts}" in message.details
