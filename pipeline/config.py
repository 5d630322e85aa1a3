"""Settings: YAML, then `stage.key=value` on the command line, checked against each stage's `Config`.

This module knows no stage: the caller hands down the `Config` classes by section name.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from pipeline.contracts import InputError
from pipeline.notify import LOCAL, check_place, check_server
from pipeline.remote import address, working_copy

Runs = Annotated[Path, BeforeValidator(working_copy), PlainSerializer(address)]
"""The folder of all runs: one here, or the working copy of one in an object store."""


class Settings(BaseModel):
    """Base of every stage's `Config`: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Schedule(Settings):
    """When and how Airflow runs this config; read by the DAG file, and part of no result."""

    when: Literal["time", "data"] = Field("time", description="time: by `schedule`; data: as `ingest.data` changes")
    schedule: str | None = Field(None, description="cron expression or preset such as @daily; null: by hand alone")
    look_seconds: int = Field(60, ge=1, description="data: seconds between two looks at it")
    settle_seconds: int = Field(120, ge=0, description="data: seconds without a change after which it counts as whole")
    owner: str = Field("nightshift", min_length=1, description="whom Airflow shows as the owner")
    retries: int = Field(2, ge=0, le=20, description="tries of a task after the first; bad input is never retried")
    retry_seconds: int = Field(300, ge=0, description="seconds between two tries")
    gpu_pool: str | None = Field(None, min_length=1, description="Airflow pool of the stages that need a GPU")
    gpu_queue: str | None = Field(None, min_length=1, description="Airflow queue of the stages that need a GPU")
    reports_url: str | None = Field(None, description="address under which general `reports` is served, for links")
    notify: list[Annotated[str, AfterValidator(check_place)]] = Field(
        [], description="who is told: log, http(s)://..., mailto:..., or $NAME of a variable"
    )
    deadline_minutes: float | None = Field(None, gt=0, description="minutes after which a run that is not done is told")
    mail_server: Annotated[str, AfterValidator(check_server)] = Field(
        LOCAL, description="through which mail goes: smtp(s)://user:password@host:port, or $NAME of a variable"
    )
    mail_from: str = Field("", description="sender of mail; empty: nightshift at this host")

    @model_validator(mode="after")
    def _one_reason(self) -> Schedule:
        if self.when == "data" and self.schedule is not None:
            raise ValueError("when: data starts runs by itself; take `schedule` out, or say when: time")
        return self


class Tracking(Settings):
    """Whether and where MLflow is told of each run; part of no result."""

    mlflow: bool | None = Field(None, description="log runs to MLflow; null: where the extra mlflow is installed")
    uri: str | None = Field(
        None, min_length=1, description="MLflow's tracking URI; null: MLFLOW_TRACKING_URI, else SQLite in `runs`"
    )
    experiment: str | None = Field(None, min_length=1, description="MLflow's experiment; null: the config's name")
    model: str = Field("nightshift", pattern=r"^[^/:]+$", description="registered model whose alias is the champion")

    @property
    def asked(self) -> bool:
        """Whether the config asks for it in so many words, rather than by default."""
        return self.mlflow or (self.mlflow is None and self.uri is not None)


class General(Settings):
    """What belongs to no single stage; the top level of the YAML."""

    name: str = Field("run", pattern=r"^[A-Za-z0-9._-]+$", description="names the run folders of this config")
    seed: int = Field(0, ge=0, description="seeds everything random")
    runs: Runs = Field(Path("runs"), description="the folder of all runs, or s3://BUCKET/FOLDER")
    reports: Path = Field(Path("reports"), description="the folder of the HTML reports")
    schedule: Schedule = Field(
        default_factory=lambda: Schedule.model_validate({}), description="when and how Airflow runs this config"
    )
    tracking: Tracking = Field(
        default_factory=lambda: Tracking.model_validate({}), description="whether and where MLflow is told of each run"
    )


class Resolved(BaseModel):
    """A whole config: the general part and one validated `Config` for each stage."""

    general: General
    stages: dict[str, Settings]

    def dump(self) -> str:
        """The config as YAML with every default written out; reading it back gives the same settings."""
        tree = self.general.model_dump(mode="json")
        tree |= {name: config.model_dump(mode="json") for name, config in self.stages.items()}
        return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def read(path: Path) -> dict[str, Any]:
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


def _override(tree: dict[str, Any], assignment: str) -> None:
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


def _nearest(section: str, key: str, known: Mapping[str, Iterable[str]]) -> str:
    """The likeliest key meant by `section.key`: the same key of another section, else the most alike one."""
    spelled = [f"{s}.{k}".lstrip(".") for s, keys in known.items() for k in keys if k == key]
    mine = [f"{section}.{k}".lstrip(".") for k in known[section]]
    every = [f"{s}.{k}".lstrip(".") for s, keys in known.items() for k in keys]
    wanted = f"{section}.{key}".lstrip(".")
    near = (
        spelled or difflib.get_close_matches(wanted, mine, 1, 0.6) or difflib.get_close_matches(wanted, every, 1, 0.6)
    )
    return f"did you mean {near[0]}?" if near else f"known keys: {', '.join(mine)}"


def _validate(model: type[Any], section: str, tree: Any, known: Mapping[str, Iterable[str]], origin: str) -> Any:
    if not isinstance(tree, dict):
        raise InputError(f"{origin}: {section}: a section is a mapping of keys, not {tree!r}")
    try:
        return model(**{str(k): v for k, v in tree.items()})
    except ValidationError as error:
        first = error.errors()[0]
        *inner, key = (str(part) for part in first["loc"])
        section = ".".join([section, *inner]).strip(".")
        if first["type"] == "extra_forbidden":
            hint = _nearest(section, key, known)
            raise InputError(f"{origin}: unknown key {f'{section}.{key}'.lstrip('.')}; {hint}") from error
        name = f"{section}.{key}".strip(".")
        why = first["msg"].replace("Input should", "must").removeprefix("Value error, ")
        raise InputError(f"{origin}: {name}: {why} (got {first['input']!r})") from error


def _known(classes: Mapping[str, type[Settings]]) -> dict[str, list[str]]:
    every: dict[str, type[Settings]] = {**classes, "schedule": Schedule, "tracking": Tracking}
    return {"": [*General.model_fields, *classes]} | {n: list(m.model_fields) for n, m in every.items()}


def general_of(path: Path, stages: Iterable[str]) -> General:
    """The general part of a config, its schedule included, without looking into the sections of `stages`.

    Imports nothing heavy: what a scheduler parses. Raises `InputError` as `resolve` does.
    """
    names = set(stages)
    tree = {key: value for key, value in read(path).items() if key not in names}
    found: General = _validate(General, "", tree, _known(dict.fromkeys(names, Settings)), str(path))
    return found


def section_of(path: Path, name: str) -> dict[str, Any]:
    """A section as the file at `path` has it, unchecked; empty where it has none. Raises `InputError` as `resolve`."""
    section = read(path).get(name) or {}
    if not isinstance(section, dict):
        raise InputError(f"{path}: {name}: a section is a mapping of keys, not {section!r}")
    return section


def resolve(
    path: Path | None, overrides: Iterable[str], classes: Mapping[str, type[Settings]], defaults: Mapping[str, Any] = {}
) -> Resolved:
    """Read `path` (none: all defaults), apply `overrides`, validate against `classes` by section name.

    defaults: a tree laid under the file's, such as the data location that a command knows.
    Raises `InputError`, one line that names the file, the key and, for a typo, its nearest neighbour.
    """
    tree: dict[str, Any] = {k: dict(v) if isinstance(v, Mapping) else v for k, v in defaults.items()}
    for key, value in (read(path) if path else {}).items():
        tree[key] = {**tree.get(key, {}), **value} if isinstance(value, dict) else value
    for assignment in overrides:
        _override(tree, assignment)
    origin = str(path or "config")
    sections = {name: tree.pop(name, None) or {} for name in classes}
    known = _known(classes)
    general = _validate(General, "", tree, known, origin)
    stages = {name: _validate(model, name, sections[name], known, origin) for name, model in classes.items()}
    return Resolved(general=general, stages=stages)
