"""`nightshift datasets`: formats of data sets, checks of their health and of changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.command_options import (
    DEFAULT_RUNS_FOLDER,
    ConfigOption,
    JsonOption,
    OptionalConfigOption,
    RunsFolderOption,
    find_run,
    print_rows,
)

app = typer.Typer(
    help="List the formats of data sets, check the health of one, or detect its changes.",
    no_args_is_help=True,
)


@app.command("list")
def list_dataset_adapters(as_json: JsonOption = False) -> None:
    """List the formats of data sets that can be read."""
    from pipeline.data.adapters import list_adapters, load_adapter

    rows = []
    for name in list_adapters():
        docstring = (load_adapter(name).read_images.__doc__ or "").strip()
        rows.append({"name": name, "reads": docstring.split("\n")[0]})
    print_rows(rows, rows, as_json)


@app.command("changed")
def report_dataset_changes(
    config: ConfigOption,
    accepted_mark: Annotated[
        str | None,
        typer.Option("--take", metavar="MARK", help="Mark the files of that check as used."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check whether a config's data changed since the last run; exit code 1 if not, or not yet."""
    from pipeline.engine import change_detection

    dataset = change_detection.read_watched_dataset(config)
    if accepted_mark is not None:
        raise typer.Exit(0 if change_detection.accept_changes(dataset, accepted_mark) else 1)
    change = change_detection.detect_changes(dataset)
    print(json.dumps(vars(change)) if as_json else f"{change.state}: {change.words}")
    raise typer.Exit(0 if change.state == "changed" else 1)


@app.command("check")
def report_dataset_health(
    data: Annotated[Path, typer.Argument(help="A data set.")],
    limits: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Other limits.")
    ] = None,
    config: OptionalConfigOption = None,
    run: Annotated[
        str | None, typer.Option("--run", help="A finished run, for suspected labels.")
    ] = None,
    html_path: Annotated[Path | None, typer.Option("--html", help="Write a page here.")] = None,
    as_json: JsonOption = False,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Check the health of a data set, labeled or not; exit code 1 if a condition fails."""
    from pipeline.analysis import dataset_inspection
    from pipeline.report.sentences.health_lines import format_health_lines

    finished_run = find_run(run, runs_folder) if run else None
    health = dataset_inspection.inspect_dataset(data, limits or [], config, finished_run)
    if html_path:
        dataset_inspection.write_health_page(html_path, health)
    if as_json:
        print(json.dumps(health, indent=1, ensure_ascii=False))
    else:
        print("\n".join([*format_health_lines(health), str(html_path or data)]))
    raise typer.Exit(0 if all(item["passed"] for item in health["conditions"]) else 1)
