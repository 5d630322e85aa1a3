from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from pipeline.config import StageSettings, read_general_settings, read_section, resolve_config
from pipeline.contracts import InputError
from pipeline.renamed_settings import RENAMED_SETTINGS
from pipeline.settings_validation import PATH_SETTING


class Split(StageSettings):
    val: float = Field(0.2, gt=0, lt=1)
    train_where: str | None = None


class Train(StageSettings):
    epochs: int = 3
    learning_rate: float = 0.1
    data: Path | None = None
    weights: str = Field("packaged", json_schema_extra=PATH_SETTING)


CLASSES = {"split": Split, "train": Train}


def _write_config(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def test_overrides_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    path = _write_config(tmp_path, "name: gate\nsplit:\n  val: 0.3\ntrain:\n  epochs: 5\n")
    overrides = ["train.epochs=7", "split.train_where=luminance >= 70"]
    config = resolve_config(path, overrides, CLASSES, {"seed": 4})
    assert config.general.name == "gate"
    assert config.general.seed == 4
    assert config.stages["split"].model_dump() == {"val": 0.3, "train_where": "luminance >= 70"}
    assert config.stages["train"].epochs == 7  # type: ignore[attr-defined]


def test_a_dump_gives_the_same_settings_again(tmp_path: Path) -> None:
    config = resolve_config(None, ["split.val=0.25", "train.data=images"], CLASSES)
    folder = tmp_path / "runs" / "r"
    again = resolve_config(_write_config(folder, config.dump_yaml(folder)), [], CLASSES)
    assert again.stages == config.stages
    assert again.dump_yaml(folder) == config.dump_yaml(folder)
    assert again.general.runs == Path.cwd() / "runs"
    absolute = resolve_config(_write_config(tmp_path, config.dump_yaml()), [], CLASSES)
    assert absolute.dump_yaml(folder) == config.dump_yaml(folder)


def test_paths_of_a_file_are_relative_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "runs: ../runs\nreports: /var/reports\ntrain: {data: ../images, weights: w/best.pth}\n"
    path = _write_config(tmp_path / "configs", text)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = resolve_config(path, [], CLASSES)
    assert (config.general.runs, config.general.reports) == (
        tmp_path / "runs",
        Path("/var/reports"),
    )
    assert config.stages["train"].data == tmp_path / "images"  # type: ignore[attr-defined]
    assert config.stages["train"].weights == str(  # type: ignore[attr-defined]
        tmp_path / "configs" / "w" / "best.pth"
    )
    assert read_general_settings(path, CLASSES).runs == tmp_path / "runs"


def test_paths_of_overrides_and_defaults_are_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write_config(tmp_path / "configs", "train: {data: ../images}\n")
    monkeypatch.chdir(tmp_path)
    config = resolve_config(path, ["train.data=other", "runs=mine"], CLASSES)
    assert config.stages["train"].data == tmp_path / "other"  # type: ignore[attr-defined]
    assert (config.general.runs, config.general.reports) == (Path("mine"), Path("reports"))


@pytest.mark.parametrize("value", ["packaged", "none", "torchvision:CIFAR10", "s3://bucket/data"])
def test_names_and_addresses_are_not_paths(value: str, tmp_path: Path) -> None:
    path = _write_config(tmp_path, f"train: {{weights: '{value}'}}\n")
    config = resolve_config(path, [], CLASSES)
    assert config.stages["train"].weights == value  # type: ignore[attr-defined]
    if ":" in value:
        path = _write_config(tmp_path, f"train: {{data: '{value}'}}\n")
        config = resolve_config(path, [], CLASSES)
        assert config.stages["train"].data == Path(value)  # type: ignore[attr-defined]


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
        ("train: {epochs: 3}\n", ["train.epochs.more=1"], "epochs is a value, not a section"),
        ("train: {rate: 1}\n", [], "train.rate was renamed: write train.learning_rate"),
        ("", ["train.rate=1"], "train.rate was renamed: write train.learning_rate"),
        ("schedule: {mail_server: x}\n", [], "schedule.mail_server was removed: write"),
        ("runs: s3://bucket/runs\n", [], "runs: s3://bucket/runs: keep runs in a local"),
    ],
)
def test_bad_input_is_one_line_that_names_the_key(
    tmp_path: Path, text: str, overrides: list[str], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        resolve_config(_write_config(tmp_path, text), overrides, CLASSES)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.yaml: no such config file"):
        resolve_config(tmp_path / "no.yaml", [], CLASSES)


def test_the_schedule_is_read_without_the_stages_and_dumped(tmp_path: Path) -> None:
    text = "name: gate\nschedule: {schedule: '@daily', retries: 0}\nsplit: {unread: 1}\n"
    path = _write_config(tmp_path, text)
    plan = read_general_settings(path, CLASSES).schedule
    assert (plan.schedule, plan.retries) == ("@daily", 0)
    with pytest.raises(InputError, match=r"unknown key split\.unread"):
        resolve_config(path, [], CLASSES)
    config = resolve_config(path, ["split={}", "schedule.owner=ann"], CLASSES)
    again = resolve_config(_write_config(tmp_path, config.dump_yaml()), [], CLASSES)
    assert again.general.schedule == config.general.schedule
    assert again.general.schedule.owner == "ann"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("schedule: {retires: 1}", "unknown key schedule.retires; did you mean schedule.retries?"),
        ("schedule: {retries: -1}", "schedule.retries: must"),
        ("schedule: daily", "schedule: must"),
        ("retries: 1", "unknown key retries; did you mean schedule.retries?"),
        ("schedule: {when: data, schedule: '@daily'}", "remove `schedule`, or write when: time"),
        ("schedule: {notify: [nowhere]}", "a place is log, an Apprise URL"),
    ],
)
def test_a_wrong_schedule_names_its_key(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_general_settings(_write_config(tmp_path, text), CLASSES)
    assert words in str(caught.value)


def test_a_password_in_a_config_is_refused_and_not_repeated(tmp_path: Path) -> None:
    path = _write_config(tmp_path, "schedule: {notify: ['mailto://ann:hunter2@example.com']}\n")
    with pytest.raises(InputError, match="must not contain a password") as caught:
        read_general_settings(path, CLASSES)
    assert "hunter2" not in str(caught.value)


def test_one_section_is_read_unchecked(tmp_path: Path) -> None:
    path = _write_config(tmp_path, "split: {unread: 1}\ntrain: 3\n")
    assert read_section(path, "split") == {"unread": 1}
    assert read_section(path, "ingest") == {}
    with pytest.raises(InputError, match="train: a section is a mapping"):
        read_section(path, "train")


def test_every_renamed_key_names_a_present_setting() -> None:
    from pipeline.data.quality.health_limits import HealthLimits
    from pipeline.engine.stage_execution import load_settings_classes

    classes = {**load_settings_classes(), "check": HealthLimits}
    for section, keys in RENAMED_SETTINGS.items():
        fields = classes[section].model_fields
        assert set(keys.values()) <= set(fields), section
        assert not set(keys) & set(fields), section


_KEYS = st.sampled_from(["name", "seed", "runs", "schedule", "tracking", "ingest", "x"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS | st.integers(), inner),
    max_leaves=8,
)


@given(tree=st.one_of(st.dictionaries(_KEYS, _VALUES), _VALUES))
@settings(deadline=None)
def test_any_yaml_is_settings_or_one_line(
    tree: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("config") / "c.yaml"
    path.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    with suppress(InputError):  # any other error is a defect
        read_general_settings(path, CLASSES)


@given(content=st.binary(max_size=60))
@settings(deadline=None)
def test_any_bytes_are_settings_or_one_line(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("config") / "c.yaml"
    path.write_bytes(content)
    with suppress(InputError):  # any other error is a defect
        read_general_settings(path, CLASSES)


@pytest.mark.parametrize(
    "line",
    [
        *("deadline_minutes: .inf", "deadline_minutes: .nan", "deadline_minutes: 1.0e+9"),
        *("look_seconds: 1000000000000", "settle_seconds: 1.0e+30", "retry_seconds: 99999999"),
        *("retries: 1000", f"owner: {'x' * 3000}", f"notify: [{', '.join(['log'] * 60)}]"),
    ],
)
def test_every_number_of_the_schedule_is_bounded(tmp_path: Path, line: str) -> None:
    path = _write_config(tmp_path, f"schedule: {{{line}}}\n")
    with pytest.raises(InputError, match=r"config\.yaml: schedule\.") as caught:
        read_general_settings(path, ["train"])
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", ["'my gate'", "..", ".hidden", "a/b", f"'{'x' * 101}'", "'a\n'"])
def test_a_name_is_plain_and_short(tmp_path: Path, name: str) -> None:
    path = _write_config(tmp_path, f"name: {name}\n")
    with pytest.raises(InputError, match=r"config\.yaml: name: "):
        read_general_settings(path, ["train"])


def test_500_bytes_of_yaml_cost_no_gigabytes(tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    path = _write_config(tmp_path, "\n".join(lines))
    with pytest.raises(InputError, match=r"config\.yaml line 2: .*aliases") as caught:
        read_general_settings(path, ["train"])
    assert len(str(caught.value)) < 300
