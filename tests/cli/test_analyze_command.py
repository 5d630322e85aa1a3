"""Missing or inconsistent tables are refused in one line, and nothing is written."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.contracts import InputError


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    arguments = [
        "analyze",
        "--images",
        str(tmp_path / "M.csv"),
        "--predictions",
        str(tmp_path / "P.csv"),
    ]
    with pytest.raises(InputError, match=r"M\.csv"):
        CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "out")], catch_exceptions=False)
    assert not (tmp_path / "out" / "summary.json").exists()


def test_predictions_of_other_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "M.csv").write_text("image_id,path,label\na,a.png,cat\nb,b.png,dog\n")
    (tmp_path / "P.csv").write_text("image_id,prob_cat,prob_dog\nx,0.5,0.5\ny,0.2,0.8\n")
    arguments = [
        "analyze",
        "--images",
        str(tmp_path / "M.csv"),
        "--predictions",
        str(tmp_path / "P.csv"),
    ]
    with pytest.raises(InputError, match="lacks 2 of the 2 images"):
        CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "out")], catch_exceptions=False)
