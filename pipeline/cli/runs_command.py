"""`nightshift runs`: the finished and unfinished runs, and the champions among them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pipeline.cli.command_options import (
    DEFAULT_RUNS_FOLDER,
    JsonOption,
    RunsFolderOption,
    find_run,
    print_rows,
)
from pipeline.contracts import InputError, RunBusyError

app = typer.Typer(help="List, compare, promote, prune or copy runs.", no_args_is_help=True)


@app.command("list")
def list_all_runs(
    as_json: JsonOption = False, runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER
) -> None:
    """List all runs, newest first; kept: why a run is never pruned."""
    from pipeline.engine.progress_reporting import log_line
    from pipeline.engine.run_pruning import explain_protected_runs
    from pipeline.engine.run_publishing import list_run_rows

    reasons = {}
    try:
        reasons = explain_protected_runs(runs_folder)
    except InputError as error:
        log_line(f"champions are unknown: {error}")
    rows, problems = list_run_rows(runs_folder, reasons)
    for problem in problems:
        log_line(f"skipped: {problem}")
    print_rows(rows, rows, as_json)


@app.command("show")
def show_run(
    run: Annotated[str, typer.Argument(help="A run.")],
    as_json: JsonOption = False,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Show a run's stages and its summary."""
    from pipeline.storage import artifact_store

    folder = find_run(run, runs_folder)
    rows = []
    for name in artifact_store.list_finished_stages(folder):
        record = folder.read_record(name) or {}
        rows.append(
            {
                "stage": name,
                "seconds": record.get("seconds", 0.0),
                "from": record.get("linked_from", ""),
                "notes": "; ".join(record.get("notes", [])),
            }
        )
    summary = None
    if folder.get_artifact_path("summary").is_file():
        summary = folder.load_artifact("summary")
    print_rows({"run": folder.run_id, "stages": rows, "summary": summary}, rows, as_json)
    if as_json or not summary:
        return
    try:
        lines = [str(summary["verdict"]["headline"])]
        for track in summary.get("followed", []):
            lines.append(
                f"{track['state']}, since {track['since']}: {track['words']} ({track['why']})"
            )
    except (LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder.get_artifact_path('summary')}: not the summary of a run; "
            f"render it again: nightshift report {folder.run_id}"
        ) from error
    print("\n".join(lines))


@app.command("compare")
def compare_two_runs(
    first_run: Annotated[str, typer.Argument(help="A run.")],
    second_run: Annotated[str, typer.Argument(help="Another run.")],
    as_json: JsonOption = False,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Compare two runs side by side."""
    from pipeline.engine.run_publishing import summarize_run

    first = summarize_run(find_run(first_run, runs_folder))
    second = summarize_run(find_run(second_run, runs_folder))
    rows = []
    for key in first:
        if key != "run":
            rows.append({"": key, first_run: first[key], second_run: second[key]})
    print_rows([first, second], rows, as_json)


@app.command("promote")
def promote_by_hand(
    run: Annotated[str, typer.Argument(help="A run with a finished stage promote.")],
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Put a run's model in force for its config, by hand."""
    from pipeline.integrations.mlflow.mlflow_tracking import log_moved_champion
    from pipeline.storage import champion_registry

    folder = find_run(run, runs_folder)
    name = champion_registry.promote_run(folder.path.parent, folder)
    log_moved_champion(folder.path.parent, name)
    print(f"{folder.run_id} is in force for {name}")


@app.command("rollback")
def roll_back_champion(
    name: Annotated[
        str | None, typer.Argument(help="A config's name; empty: the only one with a champion.")
    ] = None,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Put the champion before this one in force again."""
    from pipeline.integrations.mlflow.mlflow_tracking import log_moved_champion
    from pipeline.storage import champion_registry

    name = champion_registry.select_name(runs_folder, name)
    replaced, restored = champion_registry.restore_earlier_champion(runs_folder, name)
    log_moved_champion(runs_folder, name)
    print(f"{restored} is in force again; {replaced} is no longer")


@app.command("track")
def log_run_to_mlflow(
    run: Annotated[str, typer.Argument(help="A run.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TRACKING.KEY=VALUE]...", help="Settings that override the run's."),
    ] = None,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Log a run to MLflow; parts that are logged already are skipped."""
    from pipeline.engine import runner
    from pipeline.integrations.mlflow.mlflow_tracking import track_run

    folder = find_run(run, runs_folder)
    settings = runner.load_config(folder.path / "config.yaml", overrides or [])
    print(track_run(folder, settings.general))


@app.command("forget")
def forget_images(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            help="Image ids, or paths within the data set; none: complete an interrupted call."
        ),
    ] = None,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Erase images from the pixels, tables and pages of every run; files and weights stay.

    Exit code 1: a damaged run was not looked at. Exit code 75: a run is at work; call again.
    """
    from pipeline.engine.image_erasure import erase_from_all_runs
    from pipeline.integrations.mlflow.mlflow_tracking import log_changed_run

    problems, is_busy = [], False
    for erased in erase_from_all_runs(runs_folder, images or []):
        if erased.problem:
            problems.append(f"{erased.run_id}: not looked at: {erased.problem}")
            is_busy |= erased.is_busy
            continue
        print(f"{erased.run_id}: {erased.count} removed")
        if erased.count:
            log_changed_run(runs_folder / erased.run_id)
    print("delete the images' own files too: a new run reads every file of the data set")
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        raise typer.Exit(RunBusyError.exit_code if is_busy else 1)


@app.command("pin")
def pin_run(
    run: Annotated[str, typer.Argument(help="A run.")],
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Protect a run from pruning."""
    from pipeline.engine.run_pruning import set_pinned

    set_pinned(find_run(run, runs_folder), True)


@app.command("unpin")
def unpin_run(
    run: Annotated[str, typer.Argument(help="A run.")],
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Remove the protection from pruning."""
    from pipeline.engine.run_pruning import set_pinned

    set_pinned(find_run(run, runs_folder), False)


@app.command("prune")
def prune_old_runs(
    keep: Annotated[int, typer.Option(min=0, help="How many of the newest runs to keep.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the runs without removing them.")
    ] = False,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Remove old runs and their reports, but no champion, pinned run or run at work."""
    from pipeline.engine.run_pruning import prune_runs

    for run_id in prune_runs(runs_folder, keep, dry_run=dry_run):
        print(f"{run_id}: {'would be removed' if dry_run else 'removed'}")


@app.command("push")
def push_finished_run(
    run: Annotated[str, typer.Argument(help="A finished run.")],
    destination: Annotated[
        str, typer.Argument(help="A folder of runs elsewhere: s3://..., gs://..., or a path.")
    ],
    champion: Annotated[
        bool, typer.Option("--champion", help="Make it the champion of its config there.")
    ] = False,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Upload a finished run; a pushed run is never changed."""
    from pipeline.integrations.object_store import push_champion, push_run

    folder = find_run(run, runs_folder)
    print(push_run(folder, destination))
    if champion:
        print(push_champion(folder, destination))


@app.command("pull")
def pull_pushed_run(
    source: Annotated[
        str, typer.Argument(help="A run that was pushed, as in s3://BUCKET/FOLDER/RUN.")
    ],
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Download a pushed run; it appears when it is complete."""
    from pipeline.integrations.object_store import pull_run

    print(pull_run(source, runs_folder).path)
