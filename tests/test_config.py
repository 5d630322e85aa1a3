from pathlib import Path

import pytest
from pydantic import Field

from pipeline.config import StageSettings, read_general_settings, resolve_config
from pipeline.contracts import InputError


class Split(StageSettings):
    val: float = Field(0.2, gt=0, lt=1)
    train_where: str | None = None


class Train(StageSettings):
    epochs: int = 3


CLASSES = {"split": Split, "train": Train}


def _file(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def test_overrides_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    path = _file(tmp_path, "name: gate\nsplit:\n  val: 0.3\ntrain:\n  epochs: 5\n")
    got = resolve_config(
        path, ["train.epochs=7", "split.train_where=luminance >= 70"], CLASSES, {"seed": 4}
    )
    assert got.general.name == "gate"
    assert got.general.seed == 4
    assert got.stages["split"].model_dump() == {"val": 0.3, "train_where": "luminance >= 70"}
    assert got.stages["train"].model_dump() == {"epochs": 7}


def test_the_dump_reads_back_as_the_same_settings(tmp_path: Path) -> None:
    got = resolve_config(None, ["split.val=0.25"], CLASSES)
    assert resolve_config(_file(tmp_path, got.dump_yaml()), [], CLASSES) == got


@pytest.mark.parametrize(
    ("text", "overrides", "words"),
    [
        (
            "split:\n  tran_where: x\n",
            [],
            "config.yaml: unknown key split.tran_where; did you mean split.train_where?",
        ),
        ("splitt:\n  val: 0.3\n", [], "unknown key splitt; did you mean split?"),
        ("", ["train.epoch=3"], "unknown key train.epoch; did you mean train.epochs?"),
        ("", ["split.epochs=3"], "unknown key split.epochs; did you mean train.epochs?"),
        ("split:\n  val: 2\n", [], "split.val: must be less than 1 (got 2)"),
        ("train:\n  epochs: many\n", [], "train.epochs"),
        ("split: 3\n", [], "split: a section is a mapping"),
        ("- a\n", [], "a config is a mapping"),
        ("a: [1\n", [], "line 2: not valid YAML"),
        ("", ["epochs"], "stage.key=value"),
        ("", ["name=2024-13-01"], "is not a YAML value"),
        ("", ["train.epochs.more=1"], "epochs is a value, not a section"),
    ],
)
def test_bad_input_is_one_line_that_names_the_key(
    tmp_path: Path, text: str, overrides: list[str], words: str
) -> None:
    if "more=" in "".join(overrides):
        text = "train:\n  epochs: 3\n"
    with pytest.raises(InputError) as caught:
        resolve_config(_file(tmp_path, text), overrides, CLASSES)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.yaml: no such config file"):
        resolve_config(tmp_path / "no.yaml", [], CLASSES)


def test_the_schedule_is_read_without_the_stages_and_goes_into_the_dump(tmp_path: Path) -> None:
    path = _file(
        tmp_path, "name: gate\nschedule: {schedule: '@daily', retries: 0}\nsplit: {unread: 1}\n"
    )
    plan = read_general_settings(path, CLASSES).schedule
    assert (plan.schedule, plan.retries) == ("@daily", 0)
    with pytest.raises(InputError, match=r"unknown key split\.unread"):
        resolve_config(path, [], CLASSES)
    whole = resolve_config(path, ["split={}", "schedule.owner=ann"], CLASSES)
    again = resolve_config(_file(tmp_path, whole.dump_yaml()), [], CLASSES)
    assert again == whole
    assert again.general.schedule.owner == "ann"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("schedule: {retires: 1}", "unknown key schedule.retires; did you mean schedule.retries?"),
        ("schedule: {retries: -1}", "schedule.retries: must"),
        ("schedule: daily", "schedule: must"),
        ("retries: 1", "unknown key retries; did you mean schedule.retries?"),
    ],
)
def test_a_wrong_schedule_names_its_key(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_general_settings(_file(tmp_path, text), CLASSES)
    assert words in str(caught.value)
