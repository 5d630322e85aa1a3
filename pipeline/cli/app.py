"""The command line. Heavy modules are imported inside the commands, so that `--help` answers at once."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from pipeline import __version__
from pipeline.cli.analyze_command import run_analysis
from pipeline.cli.command_options import (
    DEFAULT_RUNS_FOLDER,
    ConfigRunsOption,
    JsonOption,
    RunsFolderOption,
    find_run,
    print_rows,
    resolve_run_path,
)
from pipeline.cli.datasets_command import app as datasets_app
from pipeline.cli.export_command import export_run
from pipeline.cli.monitor_command import monitor_predictions
from pipeline.cli.notify_command import notify
from pipeline.cli.review_command import app as review_app
from pipeline.cli.runs_command import app as runs_app
from pipeline.contracts import InputError
from pipeline.storage import signals

if TYPE_CHECKING:
    from pipeline.engine.runner import RunOutcome

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
app.add_typer(runs_app, name="runs")
app.add_typer(datasets_app, name="datasets")
app.add_typer(review_app, name="review")
app.command()(run_analysis)
app.command()(export_run)
app.command()(monitor_predictions)
app.command()(notify)

UNWRITABLE_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
"""What a full disk, and a file or folder that may not be used, raise: the user can mend it."""

FINAL_STAGES = ("promote", "report")
"""Stages after which there is a verdict to tell, and MLflow is told where a scheduler calls stage by stage."""

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The YAML config.")]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[STAGE.KEY=VALUE]...", help="Settings over the file's."),
]


def _exit_with_outcome(outcome: RunOutcome) -> NoReturn:
    if outcome.headline:
        print(outcome.headline)
    print(outcome.report_path or outcome.run.path)
    raise typer.Exit(0 if outcome.has_passed else 1)


def _check_stage_name(name: str | None) -> None:
    from pipeline.graph import STAGES

    if name is not None and name not in [s.name for s in STAGES]:
        raise InputError(
            f"{name!r}: no such stage; the stages are: {', '.join(s.name for s in STAGES)}"
        )


def _print_version(is_requested: bool) -> None:
    if is_requested:
        print(f"nightshift {__version__}")
        raise typer.Exit


@app.callback()
def _define_root_options(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Find the images on which an image classifier fails, say why, and prove the repair."""


@app.command()
def run_demo(
    images: Annotated[int, typer.Option(min=200, help="How many images to draw.")] = 2400,
    seed: Annotated[int, typer.Option(help="Seed of the images.")] = 0,
    data: Annotated[Path, typer.Option(help="Where to draw them.")] = Path("data/gate"),
    config: ConfigOption = Path("configs/demo.yaml"),
    overrides: OverridesArgument = None,
) -> None:
    """Draw the gate-camera images and run everything on them; runs=DIR reports=DIR put the results elsewhere."""
    from pipeline.demo import gate_dataset
    from pipeline.engine import runner
    from pipeline.engine.progress_reporting import log_line
    from pipeline.integrations.mlflow.mlflow_tracking import check_tracking, log_run_on_exit

    settings = runner.load_config(config, [f"ingest.data={data}", *(overrides or [])])
    check_tracking(settings.general)
    log_line(f"drawing {images:,} images into {data}")
    gate_dataset.generate_dataset(data, photo_count=images, seed=seed)
    target = runner.create_run_folder(settings)
    with log_run_on_exit(target, settings.general):
        result = runner.execute_run(target, settings)
    _exit_with_outcome(result)


@app.command()
def write_initial_config(
    data: Annotated[Path, typer.Argument(help="A data set on disk.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The config to write.")] = Path(
        "config.yaml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Write over an existing file.")] = False,
    links: Annotated[
        bool, typer.Option("--links", help="Follow links that lead out of its folder.")
    ] = False,
) -> None:
    """Look at a data set, say what was found, and write a commented config that runs."""
    from pipeline.data.reading.config_proposal import propose_config

    if output.exists() and not force:
        raise InputError(f"{output}: exists already; choose another with -o, or --force")
    seen = propose_config(data, links)
    for line in seen.summary_lines:
        print(line)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(seen.config_yaml, encoding="utf-8")
    print(f"next: nightshift run -c {output}")
    print(output)


@app.command()
def run_pipeline(
    overrides: OverridesArgument = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The YAML config.")] = None,
    resume: Annotated[str | None, typer.Option(help="Go on with this run.")] = None,
    to_stage: Annotated[str | None, typer.Option(help="Stop after this stage.")] = None,
    from_stage: Annotated[
        str | None, typer.Option(help="Make this stage and what depends on it anew.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Make every stage anew.")] = False,
    runs_folder: ConfigRunsOption = None,
    processes: Annotated[
        int, typer.Option(min=1, help="How many processes share training and asking the model.")
    ] = 1,
    only_when_changed: Annotated[
        bool, typer.Option("--when-changed", help="Only if the data changed since the last.")
    ] = False,
) -> None:
    """Run every stage that is not up to date."""
    from pipeline.engine import change_detection, process_launch, runner
    from pipeline.integrations import run_messages
    from pipeline.integrations.mlflow.mlflow_tracking import check_tracking, log_run_on_exit

    _check_stage_name(to_stage)
    _check_stage_name(from_stage)
    if not config and (only_when_changed or not resume):
        raise InputError("name a config (-c CONFIG) or a run to go on with (--resume RUN)")
    look = (
        change_detection.detect_changes(change_detection.read_watched_dataset(config))
        if only_when_changed and config
        else None
    )
    if look and look.state != "changed":
        print(f"{look.state}: {look.words}")
        return
    old = find_run(resume, runs_folder or DEFAULT_RUNS_FOLDER) if resume else None
    path = config or (old.path / "config.yaml" if old else None)
    settings = runner.load_config(
        path, [*(overrides or []), *([f"runs={runs_folder}"] if runs_folder else [])]
    )
    check_tracking(settings.general)
    target = (
        old
        or process_launch.open_shared_run(settings.general.name)
        or runner.create_run_folder(settings)
    )
    with (
        nullcontext()
        if process_launch.is_launched()
        else run_messages.watch_run(target, settings.general)
    ):
        if processes > 1 and not process_launch.is_launched():
            raise typer.Exit(process_launch.launch_processes(processes, target.path))
        with log_run_on_exit(target, settings.general):
            result = runner.execute_run(
                target, settings, to_stage=to_stage, from_stage=from_stage, force=force
            )
    if look and config:
        change_detection.accept_changes(change_detection.read_watched_dataset(config), look.mark)
    run_messages.send_slices(result, settings.general)
    _exit_with_outcome(result)


@app.command()
def run_single_stage(
    name: Annotated[str, typer.Argument(help="The stage.")],
    run: Annotated[str, typer.Option("--run", help="The run (made where it is new).")],
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The YAML config.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Make it anew.")] = False,
    overrides: OverridesArgument = None,
    runs_folder: ConfigRunsOption = None,
) -> None:
    """Run one stage (what the scheduler calls)."""
    from pipeline.engine import runner
    from pipeline.integrations import run_messages
    from pipeline.integrations.mlflow.mlflow_tracking import check_tracking, log_run_on_exit
    from pipeline.storage.champion_registry import begin_run

    _check_stage_name(name)
    given = resolve_run_path(run, runs_folder or DEFAULT_RUNS_FOLDER)
    settings = runner.load_config(config or given / "config.yaml", overrides or [])
    check_tracking(settings.general)
    folder = given if os.sep in run or runs_folder else settings.general.runs / run
    target = begin_run(folder, settings.general.name)
    with log_run_on_exit(target, settings.general, should_defer=name not in FINAL_STAGES):
        runner.execute_stage(target, settings, name, force=force)
        result = (
            runner.publish_outcome(target, settings.general.reports)
            if name in FINAL_STAGES
            else None
        )
    if result and name == "report":
        run_messages.send_slices(result, settings.general)
    if result:
        _exit_with_outcome(result)
    print(target.path)


@app.command()
def render_run_report(
    run: Annotated[str, typer.Argument(help="A run.")],
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Make the report of a run anew and print where it is."""
    from pipeline.engine import runner
    from pipeline.integrations.mlflow.mlflow_tracking import log_run_on_exit

    target = find_run(run, runs_folder)
    settings = runner.load_config(target.path / "config.yaml")
    with log_run_on_exit(target, settings.general), runner.hold_run_lock(target):
        runner.run_stage(target, settings, "report", force=True)
    print(runner.publish_report(target, settings.general.reports))


@app.command()
def predict_images(
    model: Annotated[
        str,
        typer.Argument(help="champion, champion:NAME, a run, or an export (safetensors, ONNX)."),
    ],
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="Images, folders, tables, patterns, or -."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A .jsonl, .csv or .parquet file; empty: JSON lines, printed."
        ),
    ] = None,
    attributes: Annotated[
        str, typer.Option(help="Attributes to show, as in luminance,hour; or all.")
    ] = "",
    watch: Annotated[
        bool, typer.Option("--watch", help="Answer images as they land in the folder INPUT.")
    ] = False,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Answer for images with the model in force: class, probability, and whether to answer or to decline."""
    from pipeline.engine.progress_reporting import iterate_with_count, log_line
    from pipeline.serving.prediction import input_images as given
    from pipeline.serving.prediction import row_writers
    from pipeline.serving.prediction.predictor import load_predictor

    row_writers.check_output_name(output)
    if watch and (len(inputs) != 1 or output is None or output.suffix != ".jsonl"):
        raise InputError(
            "--watch: name one folder, and with -o the .jsonl file that the rows are added to"
        )
    predictor = load_predictor(model, runs_folder, [a for a in attributes.split(",") if a])
    for correction in predictor.engine.omitted_corrections:
        log_line(f"  predict: not in this file, so not made: {correction}")
    if watch and output is not None:
        found = given.watch_folder(Path(inputs[0]), row_writers.read_predicted_paths(output))
        rows: Any = (row for image in found for row in predictor.stream_rows([image]))
    else:
        rows = predictor.stream_rows(given.list_images(inputs, sys.stdin))
    tally = dict.fromkeys(("answer", "decline", "error"), 0)
    row_writers.write_rows(
        iterate_with_count("predict", row_writers.count_decisions(rows, tally), "images"),
        predictor.columns,
        output,
        append=watch,
    )
    log_line(
        "  predict: {answer:,} answered, {decline:,} declined, {error:,} could not be read".format(
            **tally
        )
    )
    if output is not None:
        print(output)
    if tally["error"] and not tally["answer"] + tally["decline"]:
        raise typer.Exit(1)


@app.command()
def print_graph(as_json: JsonOption = False) -> None:
    """Print the stages, what each needs and what it makes."""
    from pipeline.graph import STAGES

    rows = [
        {"stage": s.name, "needs": ", ".join(s.needs), "makes": ", ".join(s.makes)} for s in STAGES
    ]
    print_rows(
        [{"stage": s.name, "needs": s.needs, "makes": list(s.makes)} for s in STAGES], rows, as_json
    )


@app.command()
def print_environment_checks(as_json: JsonOption = False) -> None:
    """Examine this machine and say what is missing."""
    from pipeline.cli.environment_checks import check_environment

    rows = [vars(finding) for finding in check_environment()]
    print_rows(rows, rows, as_json)
    raise typer.Exit(1 if any(row["status"] == "bad" for row in rows) else 0)


def _run_app() -> int:
    """The exit code of the command line; see `main`."""
    try:
        app()
        return 0
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    except InputError as error:
        print(f"nightshift: {error}", file=sys.stderr)
        return error.exit_code
    except signals.StopSignal as stop:
        print(f"nightshift: stopped by {stop}", file=sys.stderr)
        return stop.exit_code
    except Exception as error:
        if isinstance(error, OSError) and error.errno in UNWRITABLE_ERRNOS:
            place = f"{error.filename}: " if error.filename else ""
            print(f"nightshift: {place}{os.strerror(error.errno)}", file=sys.stderr)
            return 2
        if isinstance(error, ConnectionError):
            print(f"nightshift: {error}", file=sys.stderr)
            return 75
        traceback.print_exc()  # a defect of ours: never to be taken for a refusal (1) or bad input (2)
        return 70


def main() -> None:
    """Entry point: exit code 0 good, 1 a condition failed, 2 bad config or input or no place to write (one line), 70 a
    defect, 75 another process at work in the run or an object store that does not answer, 128 + n after signal n."""
    from pipeline.engine.process_launch import hand_over_exit_code

    signals.install_handlers()
    sys.exit(hand_over_exit_code(_run_app()))


if __name__ == "__main__":
    main()
