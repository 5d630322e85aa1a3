"""Names of run folders and configs for Airflow, read without Airflow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dags.config_files import OVERRIDE_PATTERN, quote_template, read_config_files
from dags.messages import build_run_name
from pipeline.storage.run_record import check_run_id


@pytest.mark.parametrize(
    ("run_id", "name"),
    [
        ("manual__2026-01-01T00:00:00+00:00", "gate-manual__2026-01-01T000000-0000"),
        ("a b", None),
        ("../../x", None),
        ("é" * 500, None),
    ],
)
def test_any_run_id_of_airflow_gives_a_plain_name(run_id: str, name: str | None) -> None:
    found = build_run_name("gate", run_id)
    check_run_id(found, found)
    assert name is None or found == name


def test_run_ids_that_differ_give_names_that_differ() -> None:
    assert build_run_name("gate", "a b") != build_run_name("gate", "a-b")


@pytest.mark.parametrize(
    ("override", "is_accepted"),
    [
        ("train.epochs=3", True),
        ("split.train_where=a; exit 0", True),
        *((text, False) for text in ("--help", "name=x", "runs=/x", "schedule.notify=[$X]")),
        *((text, False) for text in ("train.epochs=1\n--help", "train.epochs=1\n", "train=1")),
    ],
)
def test_only_settings_of_stages_are_overrides(override: str, is_accepted: bool) -> None:
    assert bool(re.search(OVERRIDE_PATTERN, override)) is is_accepted


def test_no_file_hides_another_one(tmp_path: Path) -> None:
    texts = {"a": "name: z\n", "b": "name: z\n", "z": "[" * 100_000, "c d": "1", "c_d": "2"}
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "folder.yaml").mkdir()
    files = read_config_files(tmp_path)
    assert [file.dag_id for file in files if file.settings] == ["z"]
    ids = [file.dag_id for file in files]
    assert sorted(ids) == ["b", "c_d", "c_d-broken-1", "folder", "z", "z-broken-1"]
    assert all(file.reason for file in files if not file.settings)


def test_text_is_no_template() -> None:
    assert quote_template("a {{ 7*7 }}") == "a {{ '{' }}{{ '{' }} 7*7 }}"
    assert not quote_template("/x/run.sh").endswith(".sh")
