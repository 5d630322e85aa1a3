"""`nightshift runs ...`: the runs made so far."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.command_options import (
    DEFAULT_RUNS_FOLDER,
    JsonOption,
    RunsFolderOption,
    find_run,
    print_rows,
)

app = typer.Typer(help="The runs made so far.", no_args_is_help=True)


@app.command("list")
def list_all_runs(
    as_json: JsonOption = False, runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER
) -> None:
    """List all runs, newest first; kept: why one is never pruned."""
    from pipeline.engine import runner
    from pipeline.engine.run_pruning import explain_protected_runs
    from pipeline.storage import artifact_store

    never = explain_protected_runs(runs_folder)
    rows = [
        runner.summarize_run(r) | {"kept": never.get(r.run_id, "")}
        for r in artifact_store.list_runs(runs_folder)
    ]
    print_rows(rows, rows, as_json)


@app.command("show")
def show_run(
    run: Annotated[str, typer.Argument(help="A run.")],
    as_json: JsonOption = False,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Show a run's stages and its summary."""
    from pipeline.storage import artifact_store

    target = find_run(run, runs_folder)
    records = {
        name: target.read_record(name) or {} for name in artifact_store.list_finished_stages(target)
    }
    rows = [
        {
            "stage": n,
            "seconds": r["seconds"],
            "from": r.get("linked_from", ""),
            "notes": "; ".join(r["notes"]),
        }
        for n, r in records.items()
    ]
    summary = (
        target.load_artifact("summary") if target.get_artifact_path("summary").is_file() else None
    )
    print_rows({"run": target.run_id, "stages": rows, "summary": summary}, rows, as_json)
    if not as_json and summary:
        print(summary["verdict"]["headline"])
        for track in summary.get("followed", []):
            print(f"{track['state']}, since {track['since']}: {track['words']} ({track['why']})")


@app.command("compare")
def compare_two_runs(
    first_run: Annotated[str, typer.Argument(help="A run.")],
    second_run: Annotated[str, typer.Argument(help="Another run.")],
    as_json: JsonOption = False,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Two runs side by side."""
    from pipeline.engine.runner import summarize_run

    rows = [summarize_run(find_run(name, runs_folder)) for name in (first_run, second_run)]
    merged = [
        {"": key, first_run: rows[0][key], second_run: rows[1][key]}
        for key in rows[0]
        if key != "run"
    ]
    print_rows(rows, merged, as_json)


@app.command("promote")
def promote_by_hand(
    run: Annotated[str, typer.Argument(help="A run that came to promote.")],
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Put a run's model in force for its config, by hand."""
    from pipeline.integrations.mlflow.mlflow_tracking import log_moved_champion
    from pipeline.storage import champion_registry

    target = find_run(run, runs_folder)
    name = champion_registry.promote_run(target.path.parent, target)
    log_moved_champion(target.path.parent, name)
    print(f"{target.run_id} is in force for {name}")


@app.command("rollback")
def roll_back_champion(
    name: Annotated[
        str | None, typer.Argument(help="A config's name; empty: the only one with a champion.")
    ] = None,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Put the champion of a config before this one in force again."""
    from pipeline.integrations.mlflow.mlflow_tracking import log_moved_champion
    from pipeline.storage import champion_registry

    name = champion_registry.select_name(runs_folder, name)
    left, back = champion_registry.restore_earlier_champion(runs_folder, name)
    log_moved_champion(runs_folder, name)
    print(f"{back} is in force again; {left} is not any more")


@app.command("track")
def log_run_to_mlflow(
    run: Annotated[str, typer.Argument(help="A run.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TRACKING.KEY=VALUE]...", help="Settings over the run's."),
    ] = None,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Log a run to MLflow that was not logged, or not wholly; what stands there is not logged again."""
    from pipeline.engine import runner
    from pipeline.integrations.mlflow.mlflow_tracking import track_run

    target = find_run(run, runs_folder)
    print(
        track_run(target, runner.load_config(target.path / "config.yaml", overrides or []).general)
    )


@app.command("forget")
def forget_images(
    images: Annotated[list[str], typer.Argument(help="Image ids, or paths within the data set.")],
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Remove images from the pixels, tables and pages of every run; not from the data set, nor from what was learnt."""
    from pipeline.engine.image_erasure import erase_from_all_runs
    from pipeline.integrations.mlflow.mlflow_tracking import log_changed_run

    for run_id, held in erase_from_all_runs(runs_folder, images):
        print(f"{run_id}: {held} removed")
        if held:
            log_changed_run(runs_folder / run_id)
    print("the images' own files are yours to delete: a new run reads what it finds")


@app.command("pin")
def pin_run(
    run: Annotated[str, typer.Argument(help="A run.")],
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Keep a run, whatever is pruned."""
    from pipeline.engine.run_pruning import set_pinned

    set_pinned(find_run(run, runs_folder), True)


@app.command("unpin")
def unpin_run(
    run: Annotated[str, typer.Argument(help="A run.")],
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Let a run be pruned again."""
    from pipeline.engine.run_pruning import set_pinned

    set_pinned(find_run(run, runs_folder), False)


@app.command("prune")
def prune_old_runs(
    keep: Annotated[int, typer.Option(min=0, help="How many of the newest runs stay.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")
    ] = False,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Remove old runs and their reports; never the champion's, a pinned one, or one at work."""
    from pipeline.engine.run_pruning import prune_runs

    for run_id in prune_runs(runs_folder, keep, dry_run=dry_run):
        print(f"{run_id}: {'would be removed' if dry_run else 'removed'}")


@app.command("push")
def runs_push(
    run: Annotated[str, typer.Argument(help="A finished run.")],
    destination: Annotated[
        str, typer.Argument(help="A folder of runs elsewhere: s3://..., gs://..., or a path.")
    ],
    champion: Annotated[
        bool, typer.Option("--champion", help="Make it the champion of its config there.")
    ] = False,
    home: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Upload a finished run; what was pushed is never changed."""
    from pipeline.integrations.object_store import push_champion, push_run

    target = find_run(run, home)
    print(push_run(target, destination))
    if champion:
        print(push_champion(target, destination))


@app.command("pull")
def runs_pull(
    source: Annotated[
        str, typer.Argument(help="A run that was pushed, as in s3://BUCKET/FOLDER/RUN.")
    ],
    home: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Download a run that was pushed; it appears when it is whole."""
    from pipeline.integrations.object_store import pull_run

    print(pull_run(source, home).path)
