"""`nightshift datasets ...`: the kinds of data set, and the health of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.command_options import (
    DEFAULT_RUNS_FOLDER,
    JsonOption,
    RunsFolderOption,
    find_run,
    print_rows,
)

app = typer.Typer(help="The kinds of data set that can be read.", no_args_is_help=True)


@app.command("list")
def list_dataset_adapters(as_json: JsonOption = False) -> None:
    """List the kinds of data set that can be read."""
    from pipeline import plugins

    words = {
        n: (plugins.load_plugin("adapters", n).read_images.__doc__ or "").strip().split("\n")[0]
        for n in plugins.list_plugins("adapters")
    }
    rows = [{"name": name, "reads": text} for name, text in words.items()]
    print_rows(rows, rows, as_json)


@app.command("changed")
def report_dataset_changes(
    config: Annotated[Path, typer.Option("--config", "-c", help="The YAML config.")],
    take: Annotated[
        str | None, typer.Option(metavar="MARK", help="A run takes what that look saw.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether a config's data changed since a run last took it, and rests; exit code 1 where it did not."""
    from pipeline.engine import change_detection

    what = change_detection.read_watched_dataset(config)
    if take is not None:
        raise typer.Exit(0 if change_detection.accept_changes(what, take) else 1)
    found = change_detection.detect_changes(what)
    print(json.dumps(vars(found)) if as_json else f"{found.state}: {found.words}")
    raise typer.Exit(0 if found.state == "changed" else 1)


@app.command("check")
def report_dataset_health(
    data: Annotated[Path, typer.Argument(help="A data set.")],
    limits: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Other limits.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Read it as this config says.")
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="A finished run, for suspected labels.")
    ] = None,
    html_path: Annotated[Path | None, typer.Option("--html", help="Write a page here.")] = None,
    as_json: JsonOption = False,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Judge the health of a data set, labeled or not; exit code 1 where a condition fails."""
    from pipeline.analysis import dataset_inspection
    from pipeline.data.quality.dataset_health import format_health_lines

    found = dataset_inspection.inspect_dataset(
        data, limits or [], config, find_run(run, runs_folder) if run else None
    )
    if html_path:
        dataset_inspection.write_health_page(html_path, found)
    print(
        json.dumps(found, indent=1, ensure_ascii=False)
        if as_json
        else "\n".join([*format_health_lines(found), str(html_path or data)])
    )
    raise typer.Exit(0 if all(item["passed"] for item in found["conditions"]) else 1)
