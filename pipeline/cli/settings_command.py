"""`nightshift settings`: every setting with its default and description."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.command_options import JsonOption, print_rows
from pipeline.contracts import InputError

if TYPE_CHECKING:
    from pipeline.config import StageSettings

GENERAL_SECTION = "general"
"""Name of the top level of a config in this command."""


def list_settings(section: str | None = None) -> list[dict[str, Any]]:
    """Return the settings of a section, or of all sections.

    Args:
        section: a stage, `general`, `schedule` or `tracking`; None for all.

    Returns:
        For each setting its `setting` (the key as a config has it), `default` and `description`.

    Raises:
        InputError: there is no such section.
    """
    from pipeline.config import GeneralSettings, ScheduleSettings, TrackingSettings
    from pipeline.engine.stage_execution import load_settings_classes

    sections: dict[str, type[StageSettings]] = {
        GENERAL_SECTION: GeneralSettings,
        **load_settings_classes(),
        "schedule": ScheduleSettings,
        "tracking": TrackingSettings,
    }
    if section is not None and section not in sections:
        raise InputError(f"{section!r}: no such section; there are: {', '.join(sections)}")
    rows: list[dict[str, Any]] = []
    for name in sections if section is None else [section]:
        rows += _iterate_section(name, sections[name])
    return rows


def _iterate_section(section: str, settings_class: type[StageSettings]) -> Iterator[dict[str, Any]]:
    defaults = settings_class.model_validate({}).model_dump(mode="json")
    prefix = "" if section == GENERAL_SECTION else f"{section}."
    for key, field in settings_class.model_fields.items():
        if isinstance(defaults[key], dict) and not prefix:  # schedule, tracking: sections
            continue
        yield {
            "setting": f"{prefix}{key}",
            "default": defaults[key],
            "description": field.description,
        }


def build_settings_table() -> str:
    """Return all settings as a Markdown table, as `configs/README.md` shows it."""
    lines = ["| setting | default | description |", "| --- | --- | --- |"]
    for row in list_settings():
        description = str(row["description"]).replace("|", "\\|")
        lines.append(f"| `{row['setting']}` | {_format_default(row['default'])} | {description} |")
    return "\n".join(lines)


def _format_default(value: Any) -> str:
    import yaml

    return str(yaml.safe_dump(value, default_flow_style=True, width=1000).split("\n")[0])


def print_settings(
    section: Annotated[
        str | None,
        typer.Argument(
            metavar="[STAGE]", help="A stage, or general, schedule, tracking; empty: all."
        ),
    ] = None,
    as_json: JsonOption = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the table of configs/README.md.")
    ] = False,
) -> None:
    """Print every setting with its default and description."""
    if as_markdown:
        print(build_settings_table())
        return
    settings = list_settings(section)
    rows = []
    for setting in settings:
        rows.append({**setting, "default": _format_default(setting["default"])})
    print_rows(settings, rows, as_json)
