"""The stages of a run, one after another: each is skipped, linked or run.

A stage that is up to date is skipped. A stage that another run made from the same inputs is linked.
Any
other stage is run: its needs are loaded and checked, and its outputs are checked and saved.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.config import ResolvedConfig, resolve_config
from pipeline.contracts import InputError, StageContext
from pipeline.engine.progress_reporting import create_tracker, log_line, show_run
from pipeline.engine.run_progress import RunProgress, weigh_stages
from pipeline.engine.run_publishing import RunOutcome, publish_outcome
from pipeline.engine.stage_execution import (
    check_class_settings,
    load_settings_classes,
    produce_outputs,
    share_stage,
)
from pipeline.engine.stage_key import (
    collect_followed_settings,
    collect_key_parts,
    collect_run_facts,
)
from pipeline.graph import STAGES, Stage, get_stage, list_upstream_stages
from pipeline.storage import artifact_store, champion_registry
from pipeline.storage.artifact_store import RunFolder
from pipeline.storage.signals import StopSignal


def load_config(
    path: Path | None, overrides: Iterable[str] = (), defaults: Mapping[str, Any] = {}
) -> ResolvedConfig:
    """Return a config, checked against every stage's `Config` class.

    Args:
        path: the YAML file; None takes all defaults.
        overrides: `stage.key=value` each.
        defaults: a tree under the file's settings.

    Raises:
        InputError: as `pipeline.config.resolve_config`.
    """
    return resolve_config(path, overrides, load_settings_classes(), defaults)


def create_run_folder(config: ResolvedConfig) -> RunFolder:
    """Return a new run folder."""
    return champion_registry.create_run(config.general.runs, config.general.name)


def save_config(run: RunFolder, config: ResolvedConfig) -> None:
    """Write the resolved config into the run's folder atomically; the caller holds the run's lock.

    Raises:
        InputError: the run was begun under another name, and its champion is that of the other
            name.
    """
    name = config.general.name
    first_name = champion_registry.read_config_name(run.path)
    if first_name is not None and first_name != name:
        raise InputError(
            f"name: the run {run.run_id} was begun as {first_name!r}; begin a new run for {name!r}"
        )
    artifact_store.write_text(run.path / "config.yaml", config.dump_yaml(run.path))


def _load_previous_outputs(
    run: RunFolder, stage: Stage, key_parts: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the outputs of the newest run of a stage with the same settings and code, or None."""
    if not stage.can_reuse_rows:
        return None
    for other in artifact_store.list_runs(run.path.parent):
        try:
            record = other.read_record(stage.name)
            if record is None or not _has_same_code(record["went_in"], key_parts):
                continue
            if other.is_intact(stage.name):
                return {name: other.load_artifact(name) for name in stage.makes}
        except InputError:  # a damaged run is skipped
            continue
    return None


def _has_same_code(used_parts: Mapping[str, Any], key_parts: Mapping[str, Any]) -> bool:
    return all(used_parts.get(part) == key_parts[part] for part in ("settings", "code"))


def _find_linkable_run(run: RunFolder, stage: Stage, key: str) -> RunFolder | None:
    """Return another run with an intact stage of the same key, or None."""
    if stage.has_side_effects or stage.is_run_specific:
        return None
    for other in artifact_store.list_runs(run.path.parent):
        try:
            record = other.read_record(stage.name)
            has_same_key = other.run_id != run.run_id and record and record["key"] == key
            if has_same_key and other.is_intact(stage.name):
                return other
        except InputError:  # a damaged run is skipped
            continue
    return None


def _require_intact_upstream(run: RunFolder, stage: Stage) -> None:
    for name in list_upstream_stages(stage.name):
        if damage := run.find_damage(name):
            raise InputError(f"{damage}; make it again with: nightshift run --resume {run.path}")


def run_stage(run: RunFolder, config: ResolvedConfig, name: str, *, force: bool = False) -> str:
    """Bring one stage of a run up to date.

    The earlier finished stages of the run stay, whatever happens. Damaged outputs of this stage are
    made again.

    Args:
        run: the run; the caller holds its lock.
        config: its config.
        name: the stage.
        force: run the stage even if it is up to date.

    Returns:
        `skipped`, `linked` or `done`.

    Raises:
        InputError: a needed stage has not run or is damaged, or the input cannot be used.
        ContractError: an output breaks its contract.
    """
    stage = get_stage(name)
    result = _update_stage(run, config, stage, force)
    if "classes" in stage.makes:
        check_class_settings(config, list(run.load_artifact("classes")["names"]))
    return result


def _update_stage(run: RunFolder, config: ResolvedConfig, stage: Stage, force: bool) -> str:
    """Skip, link or run a stage, and return which."""
    key_parts = collect_key_parts(run, config, stage, force=force)
    key = artifact_store.compute_key(stage.name, key_parts)
    record = run.read_record(stage.name)
    if record and record["key"] == key and not force:
        damage = run.find_damage(stage.name)
        if not damage:
            return "skipped"
        log_line(f"  {stage.name}: {damage}; running the stage again")
    _require_intact_upstream(run, stage)
    source_run = None if force else _find_linkable_run(run, stage, key)
    if source_run:
        run.link_stage(stage.name, source_run)
        return "linked"
    context = StageContext(
        run_id=run.run_id,
        seed=config.general.seed,
        scratch_folder=run.prepare_scratch(stage.name, key),
        runs_folder=run.path.parent,
        track_progress=create_tracker(stage.name),
        previous_outputs=_load_previous_outputs(run, stage, key_parts),
        run_facts=collect_run_facts(run, config, stage),
        followed_settings=collect_followed_settings(config, stage),
        on_note=lambda line: log_line(f"  {stage.name}: {line}"),
    )
    start = time.monotonic()
    with share_stage(stage):
        inputs = {need: run.load_artifact(need) for need in stage.needs}
        outputs = produce_outputs(stage, config.stages[stage.name], context, inputs)
    new_record = {
        "key": key,
        "went_in": key_parts,
        "notes": context.notes,
        "seconds": round(time.monotonic() - start, 2),
    }
    run.save_stage(stage.name, outputs, new_record)
    return "done"


def _list_dependent_stages(name: str) -> set[str]:
    """Return a stage and all stages that depend on it."""
    dependent = {name}
    for stage in STAGES:
        if dependent & set(list_upstream_stages(stage.name)):
            dependent.add(stage.name)
    return dependent


@contextmanager
def hold_run_lock(run: RunFolder) -> Iterator[None]:
    """Hold the run's lock, and log how to resume if a signal or the disk stops the work."""
    try:
        with run.hold_lock():
            yield
    except (StopSignal, OSError):
        log_line(f"stopped; resume with: nightshift run --resume {run.path}")
        raise


def execute_stage(
    run: RunFolder, config: ResolvedConfig, name: str, *, force: bool = False
) -> None:
    """Bring one stage up to date under the run's lock, and log the result.

    Args:
        run: the run.
        config: its config.
        name: the stage.
        force: run the stage even if it is up to date.

    Raises:
        InputError: as `run_stage`; a run without any finished stage is removed.
    """
    with hold_run_lock(run):
        save_config(run, config)
        try:
            result = run_stage(run, config, name, force=force)
        except InputError:
            run.discard_if_empty()
            raise
        log_line(f"{name}: {result}")


def _select_forced_stages(from_stage: str | None, force: bool) -> set[str]:
    """Return the stages to run even if they are up to date."""
    if force:
        return {stage.name for stage in STAGES}
    return _list_dependent_stages(from_stage) if from_stage else set()


def execute_run(
    run: RunFolder,
    config: ResolvedConfig,
    *,
    to_stage: str | None = None,
    from_stage: str | None = None,
    force: bool = False,
) -> RunOutcome:
    """Bring the stages of a run up to date in the order of the graph, and publish the report.

    Args:
        run: the run.
        config: its config.
        to_stage: the last stage to run; None for all.
        from_stage: run this stage and all that depend on it even if they are up to date.
        force: run every stage even if it is up to date.

    Raises:
        InputError: as `run_stage`; a run without any finished stage is removed.
    """
    forced_stages = _select_forced_stages(from_stage, force)
    names = [stage.name for stage in STAGES]
    names = names[: names.index(to_stage) + 1] if to_stage else names
    progress = RunProgress(weigh_stages(config, names))
    with hold_run_lock(run), show_run(progress):
        save_config(run, config)
        try:
            for name in names:
                start = time.monotonic()
                progress.begin_stage(name)
                result = run_stage(run, config, name, force=name in forced_stages)
                progress.end_stage(is_done=result == "done")
                log_line(f"{name:<10} {result:<8} {time.monotonic() - start:7.1f} s")
            if names[-1] != STAGES[-1].name:
                return RunOutcome(run, None, has_passed=True)
        except InputError:
            run.discard_if_empty()
            raise
        return publish_outcome(run, config.general.reports)
