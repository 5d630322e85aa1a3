"""`nightshift notify`: a message about a run to the places that its config lists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.contracts import InputError


def send_notification(
    event: Annotated[str, typer.Argument(help="failure or deadline.")],
    text: Annotated[str, typer.Argument(help="What happened.")],
    run: Annotated[str, typer.Option("--run", help="The run's name.")],
    config: Annotated[Path, typer.Option("--config", "-c", help="The YAML config.")],
    detail: Annotated[list[str] | None, typer.Option(help="A further line.")] = None,
) -> None:
    """Send a message to the places of `schedule.notify`; a scheduler calls this."""
    from pipeline.config import read_general_settings, read_variable_names
    from pipeline.graph import STAGES
    from pipeline.integrations.notifications import Message, RunEvent, send_message

    if event not in list(RunEvent):
        raise InputError(f"{event!r}: an event is {', '.join(RunEvent)}")
    general = read_general_settings(config, [stage.name for stage in STAGES])
    message = Message(RunEvent(event), general.name, run, text, tuple(detail or ()))
    send_message(message, general.schedule.notify, read_variable_names(config))
