"""`nightshift run`, `stage` and `report`: all stages of a run, a single stage, and its page."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.command_options import (
    DEFAULT_RUNS_FOLDER,
    ConfigRunsOption,
    OptionalConfigOption,
    OverridesArgument,
    RunsFolderOption,
    exit_with_outcome,
    find_run,
    resolve_run_path,
)
from pipeline.contracts import InputError, RunBusyError

OUTCOME_STAGES = ("promote", "report")
"""Stages after which a verdict exists; single stages are logged to MLflow there."""


class ReportFormat(StrEnum):
    """Form of a report."""

    HTML = "html"
    MARKDOWN = "md"
    PDF = "pdf"


def _check_stage_name(name: str | None) -> None:
    from pipeline.graph import STAGES

    names = [stage.name for stage in STAGES]
    if name is not None and name not in names:
        raise InputError(f"{name!r}: no such stage; the stages are: {', '.join(names)}")


def run_pipeline(
    overrides: OverridesArgument = None,
    config: OptionalConfigOption = None,
    resume: Annotated[str | None, typer.Option(help="Resume this run.")] = None,
    to_stage: Annotated[str | None, typer.Option(help="Stop after this stage.")] = None,
    from_stage: Annotated[
        str | None, typer.Option(help="Run this stage and all that depend on it again.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run every stage again.")] = False,
    runs_folder: ConfigRunsOption = None,
    processes: Annotated[
        int, typer.Option(min=1, help="Number of processes that share training and prediction.")
    ] = 1,
    only_when_changed: Annotated[
        bool, typer.Option("--when-changed", help="Only if the data changed since the last run.")
    ] = False,
    is_quick: Annotated[
        bool, typer.Option("--quick", help="A first look: one seed, few epochs, few probes.")
    ] = False,
) -> None:
    """Run every stage that is not up to date."""
    from pipeline.engine import runner, shared_execution
    from pipeline.engine.progress_reporting import show_status
    from pipeline.engine.quick_preset import QUICK_OVERRIDES
    from pipeline.integrations import run_messages
    from pipeline.integrations.mlflow.mlflow_tracking import check_tracking, log_run_on_exit
    from pipeline.integrations.step_summary import append_step_summary

    _check_stage_name(to_stage)
    _check_stage_name(from_stage)
    if not config and (only_when_changed or not resume):
        raise InputError("name a config (-c CONFIG) or a run to resume (--resume RUN)")
    follow = _follow_changes(config) if only_when_changed and config else nullcontext("")
    with follow as idle_reason:
        if idle_reason:
            print(idle_reason)
            return
        resumed_run = find_run(resume, runs_folder or DEFAULT_RUNS_FOLDER) if resume else None
        config_path = config or (resumed_run.path / "config.yaml" if resumed_run else None)
        preset = QUICK_OVERRIDES if is_quick else ()
        runs_override = [f"runs={runs_folder}"] if runs_folder else []
        with show_status("the settings are read"):  # loads every stage, which takes seconds
            settings = runner.load_config(
                config_path, [*preset, *(overrides or []), *runs_override]
            )
        check_tracking(settings.general)
        run = resumed_run or runner.create_run_folder(settings)
        watch = run_messages.watch_run(run, settings.general, _list_variables(config))
        with watch, log_run_on_exit(run, settings.general):
            outcome = shared_execution.execute_shared_run(
                run, settings, processes, to_stage=to_stage, from_stage=from_stage, force=force
            )
    run_messages.send_slices(outcome, settings.general, _list_variables(config))
    append_step_summary(outcome)
    exit_with_outcome(outcome)


def _list_variables(config: Path | None) -> Collection[str]:
    """Return the environment variables that the user's own config names; none without one."""
    from pipeline.config import read_variable_names

    return read_variable_names(config) if config else ()


@contextmanager
def _follow_changes(config: Path) -> Iterator[str]:
    """Yield why there is nothing to run, or an empty string, and note how the run ends.

    The data set is held meanwhile, so that a second call starts no parallel run. A run that cannot
    use its data is not begun again before the data or the config change.
    """
    from pipeline.engine import change_detection

    dataset = change_detection.read_watched_dataset(config)
    with ExitStack() as stack:
        try:
            stack.enter_context(change_detection.hold_dataset(dataset))
        except RunBusyError:
            yield "at work: another process checks the data or runs on an earlier change"
            return
        change = change_detection.detect_changes(dataset)
        if change.state != "changed":
            yield f"{change.state}: {change.words}"
            return
        if failure := change_detection.read_failure(dataset, change.mark):
            yield f"unchanged since a run failed: {failure}"
            return
        try:
            yield ""
        except RunBusyError:
            raise
        except InputError as error:
            change_detection.note_failure(dataset, change.mark, str(error))
            raise
        except typer.Exit as end:
            if end.exit_code > 1:
                raise
            change_detection.accept_changes(dataset, change.mark)
            raise
        change_detection.accept_changes(dataset, change.mark)


def run_single_stage(
    name: Annotated[str, typer.Argument(help="The stage.")],
    run: Annotated[str, typer.Option("--run", help="The run; it is made if it is new.")],
    config: OptionalConfigOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Run it even if it is up to date.")
    ] = False,
    overrides: OverridesArgument = None,
    runs_folder: ConfigRunsOption = None,
) -> None:
    """Run one stage; a scheduler calls this."""
    from pipeline.engine import run_publishing, runner
    from pipeline.integrations import run_messages
    from pipeline.integrations.mlflow.mlflow_tracking import check_tracking, log_run_on_exit
    from pipeline.integrations.step_summary import append_step_summary
    from pipeline.storage.champion_registry import begin_run

    _check_stage_name(name)
    run_path = resolve_run_path(run, runs_folder or DEFAULT_RUNS_FOLDER)
    settings = runner.load_config(config or run_path / "config.yaml", overrides or [])
    check_tracking(settings.general)
    is_path = os.sep in run or runs_folder is not None
    folder = begin_run(run_path if is_path else settings.general.runs / run, settings.general.name)
    has_outcome = name in OUTCOME_STAGES
    with log_run_on_exit(folder, settings.general, should_defer=not has_outcome):
        runner.execute_stage(folder, settings, name, force=force)
        if has_outcome:
            outcome = run_publishing.publish_outcome(folder, settings.general.reports)
    if not has_outcome:
        print(folder.path)
        return
    if name == "report":
        run_messages.send_slices(outcome, settings.general, _list_variables(config))
        append_step_summary(outcome)
    exit_with_outcome(outcome)


def render_run_report(
    run: Annotated[str, typer.Argument(help="A run.")],
    report_format: Annotated[
        ReportFormat,
        typer.Option(
            "--format", help="html; md: a summary with pictures for a pull request; pdf: printed."
        ),
    ] = ReportFormat.HTML,
    browser: Annotated[
        str | None,
        typer.Option(envvar="NIGHTSHIFT_BROWSER", help="The Chromium or Chrome that prints."),
    ] = None,
    runs_folder: RunsFolderOption = DEFAULT_RUNS_FOLDER,
) -> None:
    """Render the report of a run again, and print its path."""
    from pipeline.engine import run_publishing, runner
    from pipeline.integrations.mlflow.mlflow_tracking import log_run_on_exit
    from pipeline.integrations.page_printing import find_browser, print_page
    from pipeline.integrations.step_summary import append_step_summary

    folder = find_run(run, runs_folder)
    settings = runner.load_config(folder.path / "config.yaml")
    browser = find_browser(browser) if report_format is ReportFormat.PDF else None
    is_forced = report_format is ReportFormat.HTML
    with log_run_on_exit(folder, settings.general), runner.hold_run_lock(folder):
        runner.run_stage(folder, settings, "report", force=is_forced)
    outcome = run_publishing.publish_outcome(folder, settings.general.reports)
    append_step_summary(outcome)
    path = folder.path if outcome.report_path is None else outcome.report_path
    if report_format is ReportFormat.MARKDOWN:
        path = path.with_name(run_publishing.MARKDOWN_FILE)
    if browser:
        page, path = path, path.with_name(run_publishing.PRINTED_FILE)
        print_page(page, path, browser)
    print(path)
