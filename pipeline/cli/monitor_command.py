"""`nightshift monitor`: predictions on arriving images, compared with the model's own data."""

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
        typer.Argument(metavar="ROWS|KEY=VALUE", help="Files that predict wrote; other limits."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder to write into; it keeps the history.")
    ],
    as_json: JsonOption = False,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Compare predictions with the model's training data; exit code 1 if a condition fails."""
    from pipeline.contracts import InputError
    from pipeline.report.sentences.traffic_sentences import format_findings
    from pipeline.serving.monitoring import traffic_monitoring
    from pipeline.serving.prediction.model_bundles import find_bundle

    limits = [text for text in rows if "=" in text and not Path(text).exists()]
    paths = [Path(text) for text in rows if text not in limits]
    if not paths:
        raise InputError(
            "name files that predict wrote, as in: nightshift monitor champion rows.jsonl -o out"
        )
    bundle = find_bundle(model, runs_folder)
    findings = traffic_monitoring.monitor_traffic(bundle, paths, output, limits)
    if as_json:
        print(json.dumps(findings, indent=1, ensure_ascii=False))
    else:
        page = output / traffic_monitoring.PAGE_FILE_NAME
        print("\n".join([*format_findings(findings), str(page)]))
    raise typer.Exit(0 if all(item["passed"] for item in findings["conditions"]) else 1)
