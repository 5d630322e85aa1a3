"""`nightshift datasets ...`: the kinds of data set, and the health of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.shared import HOME, Home, Json, find_run, show

app = typer.Typer(help="The kinds of data set that can be read.", no_args_is_help=True)


@app.command("list")
def datasets_list(as_json: Json = False) -> None:
    """List the kinds of data set that can be read."""
    from pipeline import plugins

    words = {n: (plugins.load("datasets", n).__doc__ or "").strip().split("\n")[0] for n in plugins.names("datasets")}
    rows = [{"name": name, "reads": text} for name, text in words.items()]
    show(rows, rows, as_json)


@app.command("changed")
def datasets_changed(
    config: Annotated[Path, typer.Option("--config", "-c", help="The YAML config.")],
    take: Annotated[str | None, typer.Option(metavar="MARK", help="A run takes what that look saw.")] = None,
    as_json: Json = False,
) -> None:
    """Say whether a config's data changed since a run last took it, and rests; exit code 1 where it did not."""
    from pipeline import changes

    what = changes.watched(config)
    if take is not None:
        raise typer.Exit(0 if changes.take(what, take) else 1)
    found = changes.look(what)
    print(json.dumps(vars(found)) if as_json else f"{found.state}: {found.words}")
    raise typer.Exit(0 if found.state == "changed" else 1)


@app.command("check")
def datasets_check(
    data: Annotated[Path, typer.Argument(help="A data set.")],
    limits: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Other limits.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Read it as this config says.")] = None,
    run: Annotated[str | None, typer.Option("--run", help="A finished run, for suspected labels.")] = None,
    page: Annotated[Path | None, typer.Option("--html", help="Write a page here.")] = None,
    as_json: Json = False,
    home: Home = HOME,
) -> None:
    """Judge the health of a data set, labelled or not; exit code 1 where a condition fails."""
    from pipeline import health
    from pipeline.datasets.check import lines

    found = health.examine(data, limits or [], config, find_run(run, home) if run else None)
    if page:
        health.write_page(page, found)
    print(json.dumps(found, indent=1, ensure_ascii=False) if as_json else "\n".join([*lines(found), str(page or data)]))
    raise typer.Exit(0 if all(item["passed"] for item in found["conditions"]) else 1)
