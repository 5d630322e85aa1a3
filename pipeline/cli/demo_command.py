"""`nightshift demo`: photos of a staff gate, and the whole loop on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.command_options import ConfigOption, OverridesArgument, exit_with_outcome


def run_demo(
    photo_count: Annotated[
        int, typer.Option("--photos", min=200, help="How many photos to draw.")
    ] = 2400,
    seed: Annotated[int, typer.Option(help="Seed of the photos.")] = 0,
    data: Annotated[Path, typer.Option(help="Folder for the photos.")] = Path("data/gate"),
    config: ConfigOption = Path("configs/demo.yaml"),
    overrides: OverridesArgument = None,
) -> None:
    """Draw photos of a staff gate and run all stages on them; runs=DIR reports=DIR move results."""
    from pipeline.demo import gate_dataset
    from pipeline.engine import runner
    from pipeline.engine.progress_reporting import log_line
    from pipeline.integrations.mlflow.mlflow_tracking import check_tracking, log_run_on_exit

    settings = runner.load_config(config, [f"ingest.data={data}", *(overrides or [])])
    check_tracking(settings.general)
    log_line(f"drawing {photo_count:,} photos into {data}")
    gate_dataset.generate_dataset(data, photo_count=photo_count, seed=seed)
    run = runner.create_run_folder(settings)
    with log_run_on_exit(run, settings.general):
        outcome = runner.execute_run(run, settings)
    exit_with_outcome(outcome)
