"""Settings: a YAML file and `stage.key=value` overrides, checked against each stage's `Config`.

A relative path in a file is relative to that file. A relative path in an override, and a default,
is relative to the working directory. This module knows no stage: the caller passes the `Config`
classes by section name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.contracts import InputError
from pipeline.literal_secrets import find_literal_secret
from pipeline.settings_validation import (
    MAX_YAML_BYTES,
    anchor_paths,
    apply_override,
    parse_yaml,
    quote_value,
    validate_section,
)

_PLACE_PATTERN = re.compile(r"log|\$.+|[a-z][a-z0-9+.-]*://\S+")
VARIABLE_PATTERN = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
"""`$NAME` or `${NAME}` in a place of `schedule.notify`."""
MAX_PAUSE_SECONDS = 7 * 24 * 3600
MAX_DEADLINE_MINUTES = 366 * 24 * 60
MAX_TEXT_LENGTH = 2000
MAX_NAME_LENGTH = 100
"""Characters of a config's name: with time or Airflow's run id a run's name stays under 200."""
MAX_PLACES = 50
MAX_SEED = 2**32 - 1
"""Largest seed of numpy."""
SettingsClasses = Mapping[str, "type[StageSettings]"]
"""The `Config` class of each section, by section name."""


def require_local_folder(place: Any) -> Any:
    """Return the folder of all runs unchanged.

    Raises:
        ValueError: it is an address such as s3://bucket/runs.
    """
    if "://" in str(place):
        raise ValueError(
            f"{place}: keep runs in a local or mounted folder, "
            f"and use `nightshift runs push RUN {place}`"
        )
    return place


def check_place(place: str) -> str:
    """Return a place of `schedule.notify` unchanged; only its form is checked.

    >>> check_place("mailto://smtp.example.com?user=gate&pass=$MAIL_PASSWORD")
    'mailto://smtp.example.com?user=gate&pass=$MAIL_PASSWORD'

    Raises:
        ValueError: it is neither `log`, nor an address with a scheme, nor `$NAME`.
        PydanticCustomError: it contains a password or a token.
    """
    if not _PLACE_PATTERN.fullmatch(place):
        raise ValueError(
            "a place is log, an Apprise URL (mailto://, jsons://, slack://, ...) "
            "or $NAME of a variable"
        )
    _refuse_literal_secret(place)
    return place


def _refuse_literal_secret(address: str) -> None:
    """Raise `PydanticCustomError`, which does not repeat the address, if it holds a secret."""
    if secret := find_literal_secret(address):
        raise PydanticCustomError(
            "literal_secret",
            "a config must not contain {secret}, since it is copied into every run and report; "
            "name an environment variable, as in ://user:$NAME@",
            {"secret": secret},
        )


def check_link_address(address: str | None) -> str | None:
    """Return the address of published pages unchanged.

    Raises:
        PydanticCustomError: it contains a password or a token.
    """
    if address:
        _refuse_literal_secret(address)
    return address


class StageSettings(BaseModel):
    """Base of every stage's `Config`: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ScheduleSettings(StageSettings):
    """When and how Airflow runs this config. The DAG file reads it; results do not depend on it."""

    when: Literal["time", "data"] = Field(
        "time", description="time: by `schedule`; data: when `ingest.data` changes"
    )
    schedule: str | None = Field(
        None,
        max_length=MAX_TEXT_LENGTH,
        description="cron expression or preset such as @daily; null: started by hand only",
    )
    look_seconds: int = Field(
        60, ge=1, le=MAX_PAUSE_SECONDS, description="data: seconds between two checks for changes"
    )
    settle_seconds: int = Field(
        120,
        ge=0,
        le=MAX_PAUSE_SECONDS,
        description="data: seconds without a change after which the data are complete",
    )
    owner: str = Field(
        "nightshift",
        min_length=1,
        max_length=MAX_TEXT_LENGTH,
        description="owner that Airflow shows",
    )
    retries: int = Field(
        2, ge=0, le=20, description="retries of a failed task; bad input is never retried"
    )
    retry_seconds: int = Field(
        300, ge=0, le=MAX_PAUSE_SECONDS, description="seconds between two tries"
    )
    gpu_pool: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_TEXT_LENGTH,
        description="Airflow pool of the stages that need a GPU",
    )
    gpu_queue: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_TEXT_LENGTH,
        description="Airflow queue of the stages that need a GPU",
    )
    reports_url: Annotated[str | None, AfterValidator(check_link_address)] = Field(
        None,
        max_length=MAX_TEXT_LENGTH,
        description="address under which the folder `reports` is served, for links",
    )
    notify: list[Annotated[str, AfterValidator(check_place)]] = Field(
        [],
        max_length=MAX_PLACES,
        description="places that get messages: log, Apprise URLs, http(s):// webhooks; "
        "$NAME: value of that environment variable",
    )
    deadline_minutes: float | None = Field(
        None,
        gt=0,
        le=MAX_DEADLINE_MINUTES,
        description="minutes after which an unfinished run is reported",
    )

    @model_validator(mode="after")
    def _check_single_trigger(self) -> ScheduleSettings:
        if self.when == "data" and self.schedule is not None:
            raise ValueError(
                "with when: data a change of the data starts runs; remove `schedule`, "
                "or write when: time"
            )
        return self


class TrackingSettings(StageSettings):
    """Whether and where runs are logged to MLflow; results do not depend on it."""

    mlflow: bool | None = Field(
        None, description="log runs to MLflow; null: if the extra mlflow is installed"
    )
    uri: str | None = Field(
        None,
        min_length=1,
        description="MLflow's tracking URI; null: MLFLOW_TRACKING_URI, else SQLite in `runs`",
    )
    experiment: str | None = Field(
        None, min_length=1, description="MLflow's experiment; null: the config's name"
    )
    model: str | None = Field(
        None,
        pattern=r"^[^/:]+$",
        description="registered model whose alias is the champion; null: the config's name",
    )

    @property
    def is_requested(self) -> bool:
        """Whether the config requests MLflow explicitly, rather than by default."""
        return self.mlflow or (self.mlflow is None and self.uri is not None)


class GeneralSettings(StageSettings):
    """Settings of no single stage; the top level of the YAML."""

    name: str = Field(
        "run",
        pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$",
        max_length=MAX_NAME_LENGTH,
        description="names the run folders of this config",
    )
    seed: int = Field(0, ge=0, le=MAX_SEED, description="seed of everything random")
    runs: Annotated[Path, BeforeValidator(require_local_folder)] = Field(
        Path("runs"), description="the folder of all runs, local or mounted"
    )
    reports: Path = Field(Path("reports"), description="the folder of the HTML reports")
    schedule: ScheduleSettings = Field(
        default_factory=lambda: ScheduleSettings.model_validate({}),
        description="when and how Airflow runs this config",
    )
    tracking: TrackingSettings = Field(
        default_factory=lambda: TrackingSettings.model_validate({}),
        description="whether and where runs are logged to MLflow",
    )


class ResolvedConfig(BaseModel):
    """A whole config.

    Attributes:
        general: the top level of the YAML.
        stages: the validated `Config` of each stage, by name; its paths are absolute.
    """

    general: GeneralSettings
    stages: dict[str, StageSettings]

    def dump_yaml(self, folder: Path | None = None) -> str:
        """Return the config as YAML with every default written out.

        A file with this text in `folder` gives the same settings when it is read.

        Args:
            folder: folder of the file; `runs` and `reports` are written relative to it, so that a
                folder tree can be moved. None writes them as absolute paths.
        """
        tree = self.general.model_dump(mode="json")
        for key in ("runs", "reports"):
            path = os.path.abspath(tree[key])
            tree[key] = os.path.relpath(path, os.path.abspath(folder)) if folder else path
        tree |= {name: config.model_dump(mode="json") for name, config in self.stages.items()}
        return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def _read_bounded_text(path: Path) -> str:
    """Return the text of a file, and of a longer one its beginning, which `parse_yaml` refuses."""
    with path.open(encoding="utf-8") as file:
        return file.read(MAX_YAML_BYTES + 1)


def read_config(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, unchecked; empty for an empty file.

    Raises:
        InputError: there is no such file, it cannot be read, or it holds something else.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such config file")
    try:
        tree = parse_yaml(_read_bounded_text(path))
    except (yaml.YAMLError, OSError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).split("\n")[0]
        raise InputError(f"{path}{line}: not valid YAML: {problem}") from error
    if not isinstance(tree, dict | None):
        raise InputError(f"{path}: a config is a mapping of sections, not a {type(tree).__name__}")
    return tree or {}


def _list_known_keys(settings_classes: SettingsClasses) -> dict[str, list[str]]:
    known_keys = {"": [*GeneralSettings.model_fields, *settings_classes]}
    sections: SettingsClasses = {
        **settings_classes,
        "schedule": ScheduleSettings,
        "tracking": TrackingSettings,
    }
    for name, settings_class in sections.items():
        known_keys[name] = list(settings_class.model_fields)
    return known_keys


def read_general_settings(path: Path, stage_names: Iterable[str]) -> GeneralSettings:
    """Return the general part of a config, without reading the sections of the stages.

    It imports nothing heavy, so a scheduler may call it.

    Raises:
        InputError: as `resolve_config`.
    """
    tree = read_config(path)
    names = list(stage_names)
    known_keys = _list_known_keys(dict.fromkeys(names, StageSettings))
    for name in names:
        tree.pop(name, None)
    tree = anchor_paths(tree, GeneralSettings, path.parent)
    settings: GeneralSettings = validate_section(GeneralSettings, "", tree, known_keys, str(path))
    return settings


def read_variable_names(path: Path) -> frozenset[str]:
    """Return the environment variables that a file's own `schedule.notify` names.

    Raises:
        InputError: the file cannot be read.
    """
    places = read_section(path, "schedule").get("notify") or []
    names = set[str]()
    for place in places if isinstance(places, list) else []:
        names |= {match[1] or match[2] for match in VARIABLE_PATTERN.finditer(str(place))}
    return frozenset(names)


def read_section(path: Path, name: str) -> dict[str, Any]:
    """Return one section as the file has it, unchecked; empty if the file lacks it.

    Raises:
        InputError: the file cannot be read, or the section is not a mapping.
    """
    section = read_config(path).get(name) or {}
    if not isinstance(section, dict):
        raise InputError(
            f"{path}: {name}: a section is a mapping of keys, not {quote_value(section)}"
        )
    return section


def _merge_file(
    tree: dict[str, Any], path: Path, settings_classes: SettingsClasses
) -> dict[str, Any]:
    """Return `tree` with the settings of a file over it, its paths relative to the file."""
    file_tree = anchor_paths(read_config(path), GeneralSettings, path.parent)
    for key, value in file_tree.items():
        if key in settings_classes:
            value = anchor_paths(value, settings_classes[key], path.parent)
        tree[key] = {**tree.get(key, {}), **value} if isinstance(value, dict) else value
    return tree


def resolve_config(
    path: Path | None,
    overrides: Iterable[str],
    settings_classes: SettingsClasses,
    defaults: Mapping[str, Any] = {},
) -> ResolvedConfig:
    """Return the config of a file and overrides, validated section by section.

    Args:
        path: the YAML file; None takes all defaults.
        overrides: `stage.key=value` each, over the file's settings.
        settings_classes: the `Config` class of each section.
        defaults: a tree under the file's, such as the location of data that a command knows.

    Raises:
        InputError: one line that names the file, the key and, for a typo, the most similar key.
    """
    tree: dict[str, Any] = {}
    for key, value in defaults.items():
        tree[key] = dict(value) if isinstance(value, Mapping) else value
    if path:
        tree = _merge_file(tree, path, settings_classes)
    for assignment in overrides:
        apply_override(tree, assignment)
    origin = str(path or "config")
    known_keys = _list_known_keys(settings_classes)
    sections = {name: tree.pop(name, None) or {} for name in settings_classes}
    general = validate_section(GeneralSettings, "", tree, known_keys, origin)
    stages = {}
    for name, settings_class in settings_classes.items():
        section = anchor_paths(sections[name], settings_class, Path.cwd())
        stages[name] = validate_section(settings_class, name, section, known_keys, origin)
    return ResolvedConfig(general=general, stages=stages)
