"""`nightshift init`: a config for a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.contracts import InputError


def write_initial_config(
    data: Annotated[Path, typer.Argument(help="A data set on disk.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The config to write.")] = Path(
        "config.yaml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    should_follow_links: Annotated[
        bool, typer.Option("--links", help="Follow links that lead out of its folder.")
    ] = False,
) -> None:
    """Examine a data set, print a summary, and write a commented config that runs."""
    from pipeline.data.recognition.config_proposal import propose_config

    if output.exists() and not force:
        raise InputError(f"{output}: exists already; choose another with -o, or --force")
    proposal = propose_config(data, should_follow_links, output.parent)
    for line in proposal.summary_lines:
        print(line)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(proposal.config_yaml, encoding="utf-8")
    if proposal.undecided:
        raise InputError(f"{proposal.undecided}; {output} lists the choices in comments")
    print(f"next: nightshift run -c {output}")
    print(output)
