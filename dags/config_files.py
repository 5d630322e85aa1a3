"""The configs of a folder, each with its settings or the reason why it cannot be used.

A config that cannot be read, of whatever kind the fault is, hides no other one.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import GeneralSettings, read_general_settings
from pipeline.graph import STAGES

MAX_REASON = 2000  # characters of a reason, which becomes a variable of a task
MAX_DAG_ID = 200
STAGE_NAMES = [stage.name for stage in STAGES]
OVERRIDE_PATTERN = rf"^({'|'.join(STAGE_NAMES)})[.][a-z_]+=[^\r\n]*$(?!\n)"


@dataclass(frozen=True)
class ConfigFile:
    """A YAML file of the folder.

    Attributes:
        path: the file.
        dag_id: the config's name, or a free id made of the file's name.
        settings: its general settings; None if it cannot be used.
        reason: why not.
    """

    path: Path
    dag_id: str
    settings: GeneralSettings | None = None
    reason: str = ""


def read_config_files(folder):
    """Return a `ConfigFile` for each YAML file of a folder, the usable ones first."""
    usable, broken = {}, []
    for path in sorted(folder.glob("*.yaml")):
        try:
            settings = read_general_settings(path, STAGE_NAMES)
        except Exception as error:  # no file may hide another one
            broken.append((path, f"{error or type(error).__name__}"))
            continue
        if settings.name in usable:
            reason = f"{path}: name: another config here is called {settings.name} too; rename one"
            broken.append((path, reason))
        else:
            usable[settings.name] = ConfigFile(path, settings.name, settings)
    return [*usable.values(), *name_broken_files(broken, usable)]


def name_broken_files(broken, taken_ids):
    """Return a `ConfigFile` for each pair of path and reason, with an id that no other DAG has."""
    files, taken = [], set(taken_ids)
    for path, reason in broken:
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", path.stem)[:MAX_DAG_ID]
        dag_id = next(
            name
            for name in (stem, *(f"{stem}-broken-{number}" for number in range(1, len(taken) + 2)))
            if name not in taken
        )
        taken.add(dag_id)
        files.append(ConfigFile(path, dag_id, reason=reason.replace("\0", " ")[:MAX_REASON]))
    return files


def quote_template(text):
    """Return text that Airflow's templates and their files leave as it is.

    A value that ends with `.sh` would be read as the name of a template's file.
    """
    return text.replace("{", "{{ '{' }}") + ("\n" if text.endswith((".sh", ".bash")) else "")
