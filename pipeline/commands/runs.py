"""`nightshift runs ...`: the runs made so far."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.commands.shared import HOME, Home, Json, find_run, show

app = typer.Typer(help="The runs made so far.", no_args_is_help=True)


@app.command("list")
def runs_list(as_json: Json = False, home: Home = HOME) -> None:
    """List all runs, newest first; kept: why one is never pruned."""
    from pipeline import mirror, runner, store
    from pipeline.progress import say
    from pipeline.prune import kept

    mirror.refresh(home, say)
    never = kept(home)
    rows = [runner.brief(r) | {"kept": never.get(r.run_id, "")} for r in store.runs(home)]
    show(rows, rows, as_json)


@app.command("show")
def runs_show(run: Annotated[str, typer.Argument(help="A run.")], as_json: Json = False, home: Home = HOME) -> None:
    """Show a run's stages and its summary."""
    from pipeline import store

    target = find_run(run, home, whole=True)
    records = {name: target.record(name) or {} for name in store.finished(target)}
    rows = [
        {"stage": n, "seconds": r["seconds"], "from": r.get("linked_from", ""), "notes": "; ".join(r["notes"])}
        for n, r in records.items()
    ]
    summary = target.load("summary") if target.file("summary").is_file() else None
    show({"run": target.run_id, "stages": rows, "summary": summary}, rows, as_json)
    if not as_json and summary:
        print(summary["verdict"]["headline"])
        for track in summary.get("followed", []):
            print(f"{track['state']}, since {track['since']}: {track['words']} ({track['why']})")


@app.command("compare")
def runs_compare(
    a: Annotated[str, typer.Argument(help="A run.")],
    b: Annotated[str, typer.Argument(help="Another run.")],
    as_json: Json = False,
    home: Home = HOME,
) -> None:
    """Two runs side by side."""
    from pipeline.runner import brief

    rows = [brief(find_run(name, home)) for name in (a, b)]
    merged = [{"": key, a: rows[0][key], b: rows[1][key]} for key in rows[0] if key != "run"]
    show(rows, merged, as_json)


@app.command("promote")
def runs_promote(run: Annotated[str, typer.Argument(help="A run that came to promote.")], home: Home = HOME) -> None:
    """Put a run's model in force, by hand."""
    from pipeline import champion
    from pipeline.tracking.work import moved

    target = find_run(run, home)
    champion.promote(target.path.parent, target)
    moved(target.path.parent)
    print(f"{target.run_id} is in force")


@app.command("rollback")
def runs_rollback(home: Home = HOME) -> None:
    """Put the champion before this one in force again."""
    from pipeline import champion
    from pipeline.tracking.work import moved

    left, back = champion.rollback(home)
    moved(home)
    print(f"{back} is in force again; {left} is not any more")


@app.command("track")
def runs_track(
    run: Annotated[str, typer.Argument(help="A run.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[TRACKING.KEY=VALUE]...", help="Settings over the run's.")
    ] = None,
    home: Home = HOME,
) -> None:
    """Log a run to MLflow that was not logged, or not wholly; what stands there is not logged again."""
    from pipeline import runner
    from pipeline.tracking.work import track

    target = find_run(run, home, whole=True)
    print(track(target, runner.configure(target.path / "config.yaml", overrides or []).general))


@app.command("forget")
def runs_forget(
    photos: Annotated[list[str], typer.Argument(help="Image ids, or paths within the data set.")], home: Home = HOME
) -> None:
    """Remove photos from the pixels, tables and pages of every run; not from the data set, nor from what was learnt."""
    from pipeline.forget import everywhere
    from pipeline.tracking.work import retell

    for run_id, held in everywhere(home, photos):
        print(f"{run_id}: {held} removed")
        if held:
            retell(home / run_id)
    print("the photos' own files are yours to delete: a new run reads what it finds")


@app.command("pin")
def runs_pin(run: Annotated[str, typer.Argument(help="A run.")], home: Home = HOME) -> None:
    """Keep a run, whatever is pruned."""
    from pipeline.prune import pin

    pin(find_run(run, home), True)


@app.command("unpin")
def runs_unpin(run: Annotated[str, typer.Argument(help="A run.")], home: Home = HOME) -> None:
    """Let a run be pruned again."""
    from pipeline.prune import pin

    pin(find_run(run, home), False)


@app.command("prune")
def runs_prune(
    keep: Annotated[int, typer.Option(min=0, help="How many of the newest runs stay.")],
    dry: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    home: Home = HOME,
) -> None:
    """Remove old runs and their reports; never the champion's, a pinned one, or one at work."""
    from pipeline import mirror
    from pipeline.progress import say
    from pipeline.prune import prune

    mirror.refresh(home, say)
    for run_id in prune(home, keep, dry=dry):
        print(f"{run_id}: {'would be removed' if dry else 'removed'}")
