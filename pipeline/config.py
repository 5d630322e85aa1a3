"""Settings: YAML, then `stage.key=value` on the command line, checked against each stage's `Config`.

This module knows no stage: the caller hands down the `Config` classes by section name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pipeline.contracts import InputError

_PLACE = re.compile(r"log|\$.+|[a-z][a-z0-9+.-]*://\S+")
_SECRET_FIELDS = {"pass", "password", "token", "secret", "apikey"}


def require_local_folder(place: Any) -> Any:
    """Return the folder of all runs as it is given. Raises `ValueError` for an address such as s3://bucket/runs."""
    if "://" in str(place):
        raise ValueError(
            f"{place}: keep runs in a local or mounted folder, and use `nightshift runs push RUN {place}`"
        )
    return place


def check_place(place: str) -> str:
    """Return a place of `schedule.notify` as it is given, checked by its form alone.

    Raises:
        ValueError: It is neither `log`, an address with a scheme, nor `$NAME`.
        PydanticCustomError: A password stands in it.
    """
    if not _PLACE.fullmatch(place):
        raise ValueError(
            "a place is log, an Apprise URL (mailto://, jsons://, slack://, ...) or $NAME of a variable"
        )
    parts = urlsplit(place)
    password = parts.netloc.rpartition("@")[0].partition(":")[2]
    secrets = [
        password,
        *(value for key, value in parse_qsl(parts.query) if key.lower() in _SECRET_FIELDS),
    ]
    if any(secret and "$" not in secret for secret in secrets):
        raise PydanticCustomError(
            "literal_secret",
            "a password must not stand in a config; name an environment variable, as in ://user:$NAME@",
        )
    return place


class StageSettings(BaseModel):
    """Base of every stage's `Config`: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ScheduleSettings(StageSettings):
    """When and how Airflow runs this config; read by the DAG file, and part of no result."""

    when: Literal["time", "data"] = Field(
        "time", description="time: by `schedule`; data: as `ingest.data` changes"
    )
    schedule: str | None = Field(
        None, description="cron expression or preset such as @daily; null: by hand alone"
    )
    look_seconds: int = Field(60, ge=1, description="data: seconds between two looks at it")
    settle_seconds: int = Field(
        120, ge=0, description="data: seconds without a change after which it counts as whole"
    )
    owner: str = Field("nightshift", min_length=1, description="whom Airflow shows as the owner")
    retries: int = Field(
        2, ge=0, le=20, description="tries of a task after the first; bad input is never retried"
    )
    retry_seconds: int = Field(300, ge=0, description="seconds between two tries")
    gpu_pool: str | None = Field(
        None, min_length=1, description="Airflow pool of the stages that need a GPU"
    )
    gpu_queue: str | None = Field(
        None, min_length=1, description="Airflow queue of the stages that need a GPU"
    )
    reports_url: str | None = Field(
        None, description="address under which general `reports` is served, for links"
    )
    notify: list[Annotated[str, AfterValidator(check_place)]] = Field(
        [],
        description="places that get messages: log, Apprise URLs, http(s):// webhooks; $NAME: that variable",
    )
    deadline_minutes: float | None = Field(
        None, gt=0, description="minutes after which a run that is not done is told"
    )

    @model_validator(mode="after")
    def _check_single_trigger(self) -> ScheduleSettings:
        if self.when == "data" and self.schedule is not None:
            raise ValueError(
                "when: data starts runs by itself; take `schedule` out, or say when: time"
            )
        return self


class TrackingSettings(StageSettings):
    """Whether and where MLflow is told of each run; part of no result."""

    mlflow: bool | None = Field(
        None, description="log runs to MLflow; null: where the extra mlflow is installed"
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
        """Whether the config asks for it in so many words, rather than by default."""
        return self.mlflow or (self.mlflow is None and self.uri is not None)


class GeneralSettings(StageSettings):
    """What belongs to no single stage; the top level of the YAML."""

    name: str = Field(
        "run", pattern=r"^[A-Za-z0-9._-]+$", description="names the run folders of this config"
    )
    seed: int = Field(0, ge=0, description="seeds everything random")
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
        description="whether and where MLflow is told of each run",
    )


class ResolvedConfig(BaseModel):
    """A whole config: the general part and one validated `Config` for each stage."""

    general: GeneralSettings
    stages: dict[str, StageSettings]

    def dump_yaml(self) -> str:
        """The config as YAML with every default written out; reading it back gives the same settings."""
        tree = self.general.model_dump(mode="json")
        tree |= {name: config.model_dump(mode="json") for name, config in self.stages.items()}
        return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def read_config(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, unchecked. Raises `InputError` where it is none, or cannot be read."""
    if not path.is_file():
        raise InputError(f"{path}: no such config file")
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, ValueError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" line {where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or str(error).split("\n")[0]
        raise InputError(f"{path}{line}: not valid YAML: {problem}") from error
    if not isinstance(tree, dict | None):
        raise InputError(f"{path}: a config is a mapping of sections, not a {type(tree).__name__}")
    return tree or {}


def _apply_override(tree: dict[str, Any], assignment: str) -> None:
    key, equals, value = assignment.partition("=")
    if not equals:
        raise InputError(f"{assignment!r}: write an override as stage.key=value")
    *parents, leaf = key.split(".")
    for parent in parents:
        branch = tree.setdefault(parent, {})
        if branch is None:
            branch = tree[parent] = {}
        if not isinstance(branch, dict):
            raise InputError(f"{key}: {parent} is a value, not a section")
        tree = branch
    try:
        tree[leaf] = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: an impossible date
        raise InputError(f"{key}: {value!r} is not a YAML value") from error


def _suggest_key(section: str, key: str, known_keys: Mapping[str, Iterable[str]]) -> str:
    """The likeliest key meant by `section.key`: the same key of another section, else the most alike one."""
    spelled = [f"{s}.{k}".lstrip(".") for s, keys in known_keys.items() for k in keys if k == key]
    mine = [f"{section}.{k}".lstrip(".") for k in known_keys[section]]
    every = [f"{s}.{k}".lstrip(".") for s, keys in known_keys.items() for k in keys]
    wanted = f"{section}.{key}".lstrip(".")
    near = (
        spelled
        or difflib.get_close_matches(wanted, mine, 1, 0.6)
        or difflib.get_close_matches(wanted, every, 1, 0.6)
    )
    return f"did you mean {near[0]}?" if near else f"known keys: {', '.join(mine)}"


def _validate_section(
    settings_class: type[Any],
    section: str,
    tree: Any,
    known_keys: Mapping[str, Iterable[str]],
    origin: str,
) -> Any:
    if not isinstance(tree, dict):
        raise InputError(f"{origin}: {section}: a section is a mapping of keys, not {tree!r}")
    try:
        return settings_class(**{str(k): v for k, v in tree.items()})
    except ValidationError as error:
        first = error.errors()[0]
        *inner, key = (str(part) for part in first["loc"])
        section = ".".join([section, *inner]).strip(".")
        if first["type"] == "extra_forbidden":
            hint = _suggest_key(section, key, known_keys)
            raise InputError(
                f"{origin}: unknown key {f'{section}.{key}'.lstrip('.')}; {hint}"
            ) from error
        name = f"{section}.{key}".strip(".")
        why = first["msg"].replace("Input should", "must").removeprefix("Value error, ")
        got = "" if first["type"] == "literal_secret" else f" (got {first['input']!r})"
        raise InputError(f"{origin}: {name}: {why}{got}") from error


def _list_known_keys(settings_classes: Mapping[str, type[StageSettings]]) -> dict[str, list[str]]:
    every: dict[str, type[StageSettings]] = {
        **settings_classes,
        "schedule": ScheduleSettings,
        "tracking": TrackingSettings,
    }
    return {"": [*GeneralSettings.model_fields, *settings_classes]} | {
        n: list(m.model_fields) for n, m in every.items()
    }


def read_general_settings(path: Path, stage_names: Iterable[str]) -> GeneralSettings:
    """The general part of a config, its schedule included, without looking into the sections of `stages`.

    Imports nothing heavy: what a scheduler parses. Raises `InputError` as `resolve` does.
    """
    names = set(stage_names)
    tree = {key: value for key, value in read_config(path).items() if key not in names}
    found: GeneralSettings = _validate_section(
        GeneralSettings, "", tree, _list_known_keys(dict.fromkeys(names, StageSettings)), str(path)
    )
    return found


def read_section(path: Path, name: str) -> dict[str, Any]:
    """A section as the file at `path` has it, unchecked; empty where it has none. Raises `InputError` as `resolve`."""
    section = read_config(path).get(name) or {}
    if not isinstance(section, dict):
        raise InputError(f"{path}: {name}: a section is a mapping of keys, not {section!r}")
    return section


def resolve_config(
    path: Path | None,
    overrides: Iterable[str],
    settings_classes: Mapping[str, type[StageSettings]],
    defaults: Mapping[str, Any] = {},
) -> ResolvedConfig:
    """Read `path` (none: all defaults), apply `overrides`, validate against `classes` by section name.

    defaults: a tree laid under the file's, such as the data location that a command knows.
    Raises `InputError`, one line that names the file, the key and, for a typo, its nearest neighbor.
    """
    tree: dict[str, Any] = {
        k: dict(v) if isinstance(v, Mapping) else v for k, v in defaults.items()
    }
    for key, value in (read_config(path) if path else {}).items():
        tree[key] = {**tree.get(key, {}), **value} if isinstance(value, dict) else value
    for assignment in overrides:
        _apply_override(tree, assignment)
    origin = str(path or "config")
    sections = {name: tree.pop(name, None) or {} for name in settings_classes}
    known = _list_known_keys(settings_classes)
    general = _validate_section(GeneralSettings, "", tree, known, origin)
    stages = {
        name: _validate_section(model, name, sections[name], known, origin)
        for name, model in settings_classes.items()
    }
    return ResolvedConfig(general=general, stages=stages)
