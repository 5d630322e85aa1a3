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

from pipeline import __version__, interrupt
from pipeline.commands.analyze import analyze
from pipeline.commands.datasets import app as datasets_app
from pipeline.commands.export import export
from pipeline.commands.monitor import monitor
from pipeline.commands.review import app as review_app
from pipeline.commands.runs import app as runs_app
from pipeline.commands.shared import HOME, Home, Json, OwnHome, find_run, folder_of, show
from pipeline.contracts import InputError

if TYPE_CHECKING:
    from pipeline.runner import Outcome

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
app.add_typer(runs_app, name="runs")
app.add_typer(datasets_app, name="datasets")
app.add_typer(review_app, name="review")
app.command()(analyze)
app.command()(export)
app.command()(monitor)

NO_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
"""What a full disk, and a file or folder that may not be used, raise: the user can mend it."""

ENDS = ("promote", "report")
"""Stages after which there is a verdict to tell, and MLflow is told where a scheduler calls stage by stage."""

ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="The YAML config.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[STAGE.KEY=VALUE]...", help="Settings over the file's.")
]


def _end(result: Outcome) -> NoReturn:
    if result.headline:
        print(result.headline)
    print(result.report or result.run.path)
    raise typer.Exit(0 if result.passed else 1)


def _check_stage(name: str | None) -> None:
    from pipeline.graph import STAGES

    if name is not None and name not in [s.name for s in STAGES]:
        raise InputError(f"{name!r}: no such stage; the stages are: {', '.join(s.name for s in STAGES)}")


def _version(asked: bool) -> None:
    if asked:
        print(f"nightshift {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Find the photos on which an image classifier fails, say why, and prove the repair."""


@app.command()
def demo(
    photos: Annotated[int, typer.Option(min=200, help="How many photos to draw.")] = 2400,
    seed: Annotated[int, typer.Option(help="Seed of the photos.")] = 0,
    data: Annotated[Path, typer.Option(help="Where to draw them.")] = Path("data/gate"),
    config: ConfigFile = Path("configs/demo.yaml"),
    overrides: Overrides = None,
) -> None:
    """Draw the gate-camera photos and run everything on them; runs=DIR reports=DIR put the results elsewhere."""
    from pipeline import runner
    from pipeline.datasets import gate
    from pipeline.progress import say
    from pipeline.tracking.work import check, tracked

    settings = runner.configure(config, [f"ingest.data={data}", *(overrides or [])])
    check(settings.general)
    say(f"drawing {photos:,} photos into {data}")
    gate.generate(data, photos=photos, seed=seed)
    target = runner.start(settings)
    with tracked(target, settings.general):
        result = runner.execute(target, settings)
    _end(result)


@app.command()
def init(
    data: Annotated[Path, typer.Argument(help="A data set on disk.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The config to write.")] = Path("config.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Write over an existing file.")] = False,
    links: Annotated[bool, typer.Option("--links", help="Follow links that lead out of its folder.")] = False,
) -> None:
    """Look at a data set, say what was found, and write a commented config that runs."""
    from pipeline.datasets.survey import survey

    if output.exists() and not force:
        raise InputError(f"{output}: exists already; choose another with -o, or --force")
    seen = survey(data, links)
    for line in seen.lines:
        print(line)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(seen.config, encoding="utf-8")
    print(f"next: nightshift run -c {output}")
    print(output)


@app.command()
def run(
    overrides: Overrides = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The YAML config.")] = None,
    resume: Annotated[str | None, typer.Option(help="Go on with this run.")] = None,
    to_stage: Annotated[str | None, typer.Option(help="Stop after this stage.")] = None,
    from_stage: Annotated[str | None, typer.Option(help="Make this stage and what depends on it anew.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Make every stage anew.")] = False,
    home: OwnHome = None,
    processes: Annotated[int, typer.Option(min=1, help="How many processes share training and asking the model.")] = 1,
    changed: Annotated[bool, typer.Option("--when-changed", help="Only if the data changed since the last.")] = False,
) -> None:
    """Run every stage that is not up to date."""
    from pipeline import changes, launch, news, runner
    from pipeline.tracking.work import check, tracked

    _check_stage(to_stage)
    _check_stage(from_stage)
    if not config and (changed or not resume):
        raise InputError("name a config (-c CONFIG) or a run to go on with (--resume RUN)")
    look = changes.look(changes.watched(config)) if changed and config else None
    if look and look.state != "changed":
        print(f"{look.state}: {look.words}")
        return
    old = find_run(resume, home or HOME) if resume else None
    path = config or (old.path / "config.yaml" if old else None)
    settings = runner.configure(path, [*(overrides or []), *([f"runs={home}"] if home else [])])
    check(settings.general)
    target = old or launch.given_run() or runner.start(settings)
    with nullcontext() if launch.launched() else news.watched(target, settings.general):
        if processes > 1 and not launch.launched():
            raise typer.Exit(launch.launch(processes, target.path))
        with tracked(target, settings.general):
            result = runner.execute(target, settings, to_stage=to_stage, from_stage=from_stage, force=force)
    if look and config:
        changes.take(changes.watched(config), look.mark)
    news.tell(result, settings.general)
    _end(result)


@app.command()
def stage(
    name: Annotated[str, typer.Argument(help="The stage.")],
    run: Annotated[str, typer.Option("--run", help="The run (made where it is new).")],
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The YAML config.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Make it anew.")] = False,
    overrides: Overrides = None,
    home: OwnHome = None,
) -> None:
    """Run one stage (what the scheduler calls)."""
    from pipeline import mirror, news, runner
    from pipeline.tracking.work import check, tracked

    _check_stage(name)
    given = folder_of(run, home or HOME)
    mirror.look(given)
    settings = runner.configure(config or given / "config.yaml", overrides or [])
    check(settings.general)
    folder = given if os.sep in run or home else settings.general.runs / run
    target = mirror.begin(folder)
    with tracked(target, settings.general, quick=name not in ENDS):
        runner.execute_one(target, settings, name, force=force)
        result = runner.outcome(target, settings.general.reports) if name in ENDS else None
    if result and name == "report":
        news.tell(result, settings.general)
    if result:
        _end(result)
    print(target.path)


@app.command()
def report(run: Annotated[str, typer.Argument(help="A run.")], home: Home = HOME) -> None:
    """Make the report of a run anew and print where it is."""
    from pipeline import runner
    from pipeline.tracking.work import tracked

    target = find_run(run, home)
    settings = runner.configure(target.path / "config.yaml")
    with tracked(target, settings.general), runner.at_work(target):
        runner.run_stage(target, settings, "report", force=True)
    print(runner.publish(target, settings.general.reports))


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="champion, a run, or an export (safetensors, ONNX).")],
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Photos, folders, tables, patterns, or -.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A .jsonl, .csv or .parquet file; empty: JSON lines, printed.")
    ] = None,
    attributes: Annotated[str, typer.Option(help="Attributes to show, as in luminance,hour; or all.")] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Answer photos as they land in the folder INPUT.")] = False,
    home: Home = HOME,
) -> None:
    """Answer for photos with the model in force: class, probability, and whether to answer or to decline."""
    from pipeline.predict import inputs as given
    from pipeline.predict import outputs
    from pipeline.predict.model import load
    from pipeline.progress import counted, say

    outputs.check(output)
    if watch and (len(inputs) != 1 or output is None or output.suffix != ".jsonl"):
        raise InputError("--watch: name one folder, and with -o the .jsonl file that the rows are added to")
    predictor = load(model, home, [a for a in attributes.split(",") if a])
    for correction in predictor.engine.left_out:
        say(f"  predict: not in this file, so not made: {correction}")
    if watch and output is not None:
        found = given.arrivals(Path(inputs[0]), outputs.answered(output))
        rows: Any = (row for photo in found for row in predictor.stream([photo]))
    else:
        rows = predictor.stream(given.photos(inputs, sys.stdin))
    tally = dict.fromkeys(("answer", "decline", "error"), 0)
    outputs.write(counted("predict", outputs.tallied(rows, tally), "photos"), predictor.columns, output, append=watch)
    say("  predict: {answer:,} answered, {decline:,} declined, {error:,} could not be read".format(**tally))
    if output is not None:
        print(output)
    if tally["error"] and not tally["answer"] + tally["decline"]:
        raise typer.Exit(1)


@app.command()
def graph(as_json: Json = False) -> None:
    """Print the stages, what each needs and what it makes."""
    from pipeline.graph import STAGES

    rows = [{"stage": s.name, "needs": ", ".join(s.needs), "makes": ", ".join(s.makes)} for s in STAGES]
    show([{"stage": s.name, "needs": s.needs, "makes": list(s.makes)} for s in STAGES], rows, as_json)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Examine this machine and say what is missing."""
    from pipeline.doctor import examine

    rows = [vars(finding) for finding in examine()]
    show(rows, rows, as_json)
    raise typer.Exit(1 if any(row["status"] == "bad" for row in rows) else 0)


def _called() -> int:
    """The exit code of the command line; see `main`."""
    try:
        app()
        return 0
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    except InputError as error:
        print(f"nightshift: {error}", file=sys.stderr)
        return error.code
    except interrupt.Stopped as stop:
        print(f"nightshift: stopped by {stop}", file=sys.stderr)
        return stop.code
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_PLACE:
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
    from pipeline.launch import leave

    interrupt.install()
    sys.exit(leave(_called()))


if __name__ == "__main__":
    main()
