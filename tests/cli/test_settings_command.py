import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.cli.settings_command import build_settings_table, list_settings
from pipeline.contracts import InputError
from pipeline.engine import runner
from pipeline.graph import STAGES

CONFIGS_PAGE = Path(__file__).resolve().parents[2] / "configs" / "README.md"


def test_every_setting_of_every_stage_has_its_default_and_a_description() -> None:
    rows = {row["setting"]: row for row in list_settings()}
    defaults = runner.load_config(None)
    for stage in STAGES:
        values = defaults.stages[stage.name].model_dump(mode="json")
        for key, value in values.items():
            assert rows.pop(f"{stage.name}.{key}")["default"] == value
    general = defaults.general.model_dump(mode="json")
    for section in ("schedule", "tracking"):
        for key, value in general.pop(section).items():
            assert rows.pop(f"{section}.{key}")["default"] == value
    assert {key: row["default"] for key, row in rows.items()} == general
    assert all(row["description"] for row in list_settings())


def test_one_section_is_printed_as_json_and_as_a_table() -> None:
    printed = CliRunner().invoke(app, ["settings", "train", "--json"])
    rows = json.loads(printed.stdout)
    assert rows == list_settings("train")
    assert {row["setting"].partition(".")[0] for row in rows} == {"train"}
    table = CliRunner().invoke(app, ["settings", "train"]).stdout
    assert "train.learning_rate" in table


def test_an_unknown_section_is_an_input_error() -> None:
    with pytest.raises(InputError, match="'trian': no such section; there are: general, ingest"):
        list_settings("trian")


def test_the_page_of_the_configs_shows_the_settings_as_they_are() -> None:
    text = CONFIGS_PAGE.read_text(encoding="utf-8")
    written = text.partition("<!-- settings -->")[2].partition("<!-- end of settings -->")[0]
    assert written.strip() == build_settings_table(), "run: make settings-table"
