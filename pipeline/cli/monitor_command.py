"""`nightshift monitor`: predicted traffic against the data of the model that predicted it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.command_options import DEFAULT_RUNS_FOLDER, JsonOption, RunsFolderOption


def monitor_predictions(
    model: Annotated[
        str, typer.Argument(help="champion, champion:NAME, a run, or a bundle's folder.")
    ],
    rows: Annotated[
        list[str],
        typer.Argument(metavar="ROWS|KEY=VALUE", help="Rows that predict wrote; other limits."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder to write into; it keeps the history.")
    ],
    as_json: JsonOption = False,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Compare what predict answered with the training data; exit code 1 where a condition fails."""
    from pipeline.contracts import InputError
    from pipeline.serving.monitoring import traffic_monitoring
    from pipeline.serving.prediction.model_bundles import find_bundle

    limits = [text for text in rows if "=" in text and not Path(text).exists()]
    paths = [Path(text) for text in rows if text not in limits]
    if not paths:
        raise InputError(
            "name rows that predict wrote, as in: nightshift monitor champion rows.jsonl -o out"
        )
    found = traffic_monitoring.monitor_traffic(
        find_bundle(model, runs_folder), paths, output, limits
    )
    page = output / traffic_monitoring.PAGE_FILE_NAME
    print(
        json.dumps(found, indent=1, ensure_ascii=False)
        if as_json
        else "\n".join([*traffic_monitoring.format_findings(found), str(page)])
    )
    raise typer.Exit(0 if all(item["passed"] for item in found["conditions"]) else 1)
