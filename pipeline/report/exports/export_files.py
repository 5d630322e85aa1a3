"""The files beside the page: tables, training log, pictures and the Markdown summary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.report.exports.markdown_summary import MARKDOWN_FILE, compose_markdown
from pipeline.report.exports.summary_pictures import save_pictures
from pipeline.report.exports.training_log import TRAINING_LOG_FILE, build_training_log
from pipeline.report.image_tables import build_image_table, describe_columns, select_failures
from pipeline.report.report_page import ReportPage
from pipeline.storage.csv_tables import write_csv


def write_export_files(page: ReportPage, summary: Mapping[str, Any], folder: Path) -> None:
    """Write every file beside the page into its folder.

    Args:
        page: the page.
        summary: the artifact of that name.
        folder: the page's folder.
    """
    table = build_image_table(page)
    table.to_parquet(folder / "images.parquet", index=False)
    write_csv(folder / "failures.csv", select_failures(table))
    write_csv(folder / "columns.csv", describe_columns(table))
    page["predictions"].to_parquet(folder / "predictions.parquet", index=False)
    write_csv(folder / TRAINING_LOG_FILE, build_training_log(page["history"]))
    pictures = save_pictures(page, folder)
    text = compose_markdown(summary, pictures, "index.html")
    (folder / MARKDOWN_FILE).write_text(text, encoding="utf-8")
