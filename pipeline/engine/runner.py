"""Load needs -> run -> check -> save, stage by stage; what is up to date is skipped."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import ResolvedConfig, StageSettings, resolve_config
from pipeline.contracts import InputError, StageContext
from pipeline.engine import code_fingerprint
from pipeline.engine.progress_reporting import create_tracker, log_line
from pipeline.engine.stage_execution import (
    check_class_settings,
    follow_first_rank,
    join_ranks,
    load_stage_module,
    produce_outputs,
    share_stage,
)
from pipeline.graph import STAGES, Stage, get_stage, list_upstream_stages
from pipeline.storage import artifact_store, champion_registry
from pipeline.storage.artifact_store import RunFolder
from pipeline.storage.signals import StopSignal


def load_config(
    path: Path | None, overrides: Iterable[str] = (), defaults: Mapping[str, Any] = {}
) -> ResolvedConfig:
    """A config checked against every stage's `Config` class (see `pipeline.config.resolve`)."""
    classes: dict[str, type[StageSettings]] = {
        s.name: load_stage_module(s.name).Config for s in STAGES
    }
    return resolve_config(path, overrides, classes, defaults)


def create_run_folder(config: ResolvedConfig) -> RunFolder:
    """A new run folder."""
    return champion_registry.create_run(config.general.runs, config.general.name)


def save_config(run: RunFolder, config: ResolvedConfig) -> None:
    """Lay the resolved config in the run, whole or not at all; hold the run's lock.

    Raises `InputError` where the run was begun under another name: its champion is that one's."""
    name, begun = config.general.name, champion_registry.config_name(run.path)
    if begun is not None and begun != name:
        raise InputError(
            f"name: the run {run.run_id} was begun as {begun!r}; begin a new run for {name!r}"
        )
    artifact_store.write_text(run.path / "config.yaml", config.dump_yaml())


def _collect_inputs(run: RunFolder, config: ResolvedConfig, item: Stage) -> dict[str, Any]:
    inputs = {}
    for need in item.needs:
        made_by = next(s.name for s in STAGES if need in s.makes)
        record = run.read_record(made_by)
        if record is None:
            raise InputError(
                f"{run.path}: stage {item.name} needs {need}; run the stage {made_by} first"
            )
        inputs[need] = record["artifacts"][need]
    return {
        "inputs": inputs,
        "settings": config.stages[item.name].model_dump(mode="json"),
        "seed": config.general.seed,
    }


def _collect_key_parts(
    run: RunFolder, config: ResolvedConfig, item: Stage, force: bool
) -> dict[str, Any]:
    """All that decides what the stage makes; raises `InputError` where a needed stage is not up to date."""
    for name in list_upstream_stages(item.name):
        record, now = run.read_record(name), _collect_inputs(run, config, get_stage(name))
        changed = [part for part in now if record and record["went_in"][part] != now[part]]
        if changed:
            parts = " and ".join(changed)
            raise InputError(
                f"{run.path}: the {parts} of stage {name} changed since it ran; run it first"
            )
    inputs = _collect_inputs(run, config, item)
    return {
        **inputs,
        "code": code_fingerprint.hash_stage_code(item.name),
        "outside": _fingerprint_external_inputs(run, config, item, inputs, force),
    }


def _fingerprint_external_inputs(
    run: RunFolder, config: ResolvedConfig, item: Stage, inputs: Mapping[str, Any], force: bool
) -> str:
    """What the stage takes from outside the run. It is told what this run took before, from the same inputs."""
    look = getattr(load_stage_module(item.name), "fingerprint_external_inputs", None)
    record = None if force else run.read_record(item.name)
    before = (
        record["went_in"]
        if record and all(record["went_in"][part] == inputs[part] for part in inputs)
        else {}
    )
    seen = str(look(config.stages[item.name], run.path, before.get("outside"))) if look else ""
    return (
        artifact_store.compute_key(seen, run.run_id, _collect_run_facts(run, config, item))
        if item.is_run_specific
        else seen
    )


def _collect_run_facts(run: RunFolder, config: ResolvedConfig, item: Stage) -> dict[str, Any]:
    records = {
        name: run.read_record(name) or {}
        for name in artifact_store.list_finished_stages(run)
        if name != item.name
    }
    stages = [
        {"name": n, "seconds": r.get("seconds", 0.0), "notes": r.get("notes", [])}
        for n, r in records.items()
    ]
    return {
        "config": config.dump_yaml(),
        "versions": code_fingerprint.collect_versions(),
        "stages": stages,
    }


def _load_previous_outputs(
    run: RunFolder, item: Stage, key_parts: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    if not item.can_reuse_rows:
        return None
    for other in artifact_store.list_runs(run.path.parent):
        try:
            record = other.read_record(item.name)
            same = record and all(
                record["went_in"][part] == key_parts[part] for part in ("settings", "code")
            )
            if same and other.is_intact(item.name):
                return {name: other.load_artifact(name) for name in item.makes}
        except InputError:  # a damaged neighbor is no help, and no reason to stop
            continue
    return None


def _find_linkable_run(run: RunFolder, item: Stage, key: str) -> RunFolder | None:
    if item.has_side_effects or item.is_run_specific:
        return None
    for other in artifact_store.list_runs(run.path.parent):
        try:
            record = other.read_record(item.name)
            if (
                other.run_id != run.run_id
                and record
                and record["key"] == key
                and other.is_intact(item.name)
            ):
                return other
        except InputError:
            continue
    return None


def _require_intact_upstream(run: RunFolder, item: Stage) -> None:
    for name in list_upstream_stages(item.name):
        if damage := run.find_damage(name):
            raise InputError(f"{damage}; make it anew with: nightshift run --resume {run.path}")


def run_stage(run: RunFolder, config: ResolvedConfig, name: str, *, force: bool = False) -> str:
    """Bring one stage of `run` up to date; returns `skipped`, `linked` or `done`.

    Raises `InputError` where a needed stage has not run or the input cannot be used, `ContractError` where
    a stage broke its promise. Whatever happens, the run keeps its earlier finished stages. What was altered since it
    was written is made anew where it is this stage's, and refused by name where it is an earlier one's.
    """
    how = _update_stage(run, config, get_stage(name), force)
    if "classes" in get_stage(name).makes:
        check_class_settings(config, list(run.load_artifact("classes")["names"]))
    return how


def _update_stage(run: RunFolder, config: ResolvedConfig, item: Stage, force: bool) -> str:
    """What `run_stage` does in the run's folder."""
    name, went_in = item.name, _collect_key_parts(run, config, item, force)
    key = artifact_store.compute_key(name, went_in)
    record = run.read_record(name)
    if record and record["key"] == key and not force:
        if not (damage := run.find_damage(name)):
            return "skipped"
        log_line(f"  {name}: {damage}; made anew")
    _require_intact_upstream(run, item)
    other = None if force else _find_linkable_run(run, item, key)
    if other:
        run.link_stage(name, other)
        return "linked"
    context = StageContext(
        run_id=run.run_id,
        seed=config.general.seed,
        scratch_folder=run.prepare_scratch(name, key),
        runs_folder=run.path.parent,
        track_progress=create_tracker(name),
        previous_outputs=_load_previous_outputs(run, item, went_in),
        run_facts=_collect_run_facts(run, config, item),
        on_note=lambda line: log_line(f"  {name}: {line}"),
    )
    began = time.monotonic()
    with share_stage(item):
        made = produce_outputs(
            item,
            config.stages[name],
            context,
            {need: run.load_artifact(need) for need in item.needs},
        )
    seconds = round(time.monotonic() - began, 2)
    run.save_stage(
        name, made, {"key": key, "went_in": went_in, "notes": context.notes, "seconds": seconds}
    )
    return "done"


def _list_dependent_stages(name: str) -> set[str]:
    reached = {name}
    for item in STAGES:
        if reached & set(list_upstream_stages(item.name)):
            reached.add(item.name)
    return reached


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended: the report's path where it got that far, whether every condition held, and the verdict."""

    run: RunFolder
    report_path: Path | None
    has_passed: bool
    headline: str = ""


def _load_summary(run: RunFolder) -> dict[str, Any] | None:
    try:
        return (
            dict(run.load_artifact("summary"))
            if run.get_artifact_path("summary").is_file()
            else None
        )
    except InputError:
        return None


def summarize_run(run: RunFolder) -> dict[str, Any]:
    """A run in one row of a listing: run, state (promoted, not promoted, nothing to promote), confirmed slices, how
    many of those that are followed are in which state, why."""
    from pipeline.report.number_format import count_slice_states

    summary = run.load_artifact("summary") if run.get_artifact_path("summary").is_file() else {}
    verdict = summary.get("verdict", {})
    state, _, why = verdict.get(
        "headline", f"{len(artifact_store.list_finished_stages(run))} stages done"
    ).partition(": ")
    confirmed = [s for s in summary.get("slices", []) if s.get("status") == "confirmed"]
    followed = count_slice_states(summary.get("followed", []))
    return {
        "run": run.run_id,
        "state": state,
        "slices": len(confirmed),
        "followed": followed,
        "why": why,
    }


def publish_report(run: RunFolder, reports_folder: Path) -> Path:
    """Lay the run's page, its tables and its summary in `reports/<run_id>/`, and renew the list of all runs."""
    folder = reports_folder / run.run_id
    shutil.copytree(run.get_artifact_path("html"), folder, dirs_exist_ok=True)
    summary = run.load_artifact("summary")
    for place in (run.path, folder):
        artifact_store.write_json(place / "summary.json", summary)
    publish_runs_index(run.path.parent, reports_folder)
    return folder / "index.html"


def publish_runs_index(runs_folder: Path, reports_folder: Path) -> None:
    """Make the page of all runs anew."""
    from pipeline.report.runs_index import render_runs_index

    every = [s for s in map(_load_summary, artifact_store.list_runs(runs_folder)) if s is not None]
    artifact_store.write_text(reports_folder / "index.html", render_runs_index(every))


def publish_outcome(run: RunFolder, reports_folder: Path) -> RunOutcome:
    """What stands in the run folder now; publishes the report where there is one."""
    verdict = run.load_artifact("verdict") if run.get_artifact_path("verdict").is_file() else None
    page = (
        publish_report(run, reports_folder) if run.get_artifact_path("summary").is_file() else None
    )
    return RunOutcome(
        run,
        page,
        verdict is None or bool(verdict["promoted"]),
        verdict["headline"] if verdict else "",
    )


@contextmanager
def hold_run_lock(run: RunFolder) -> Iterator[None]:
    """Hold the run's lock; where somebody or the disk stops the work, say how to go on with it."""
    ranks = join_ranks()
    try:
        with run.hold_lock():
            yield
    except BaseException as error:
        if isinstance(error, (StopSignal, OSError)):
            log_line(f"stopped; go on with: nightshift run --resume {run.path}")
        if ranks:
            ranks.dismiss(well=False)
        raise
    if ranks:
        ranks.dismiss(well=True)


def execute_stage(
    run: RunFolder, config: ResolvedConfig, name: str, *, force: bool = False
) -> None:
    """Bring one stage up to date, and say how."""
    if not follow_first_rank(run, config):
        with hold_run_lock(run):
            save_config(run, config)
            log_line(f"{name}: {run_stage(run, config, name, force=force and not _is_restarted())}")


def _is_restarted() -> bool:
    """Whether torchrun started this process again, after one of its ranks died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def execute_run(
    run: RunFolder,
    config: ResolvedConfig,
    *,
    to_stage: str | None = None,
    from_stage: str | None = None,
    force: bool = False,
) -> RunOutcome:
    """Bring every stage up to `to_stage` up to date, in the order of the graph.

    from_stage: make this stage and all that depends on it anew. force: make every stage anew.
    """
    if follow_first_rank(run, config):
        return RunOutcome(run, None, True)
    anew = (
        {s.name for s in STAGES}
        if force
        else _list_dependent_stages(from_stage)
        if from_stage
        else set[str]()
    )
    anew = set() if _is_restarted() else anew
    with hold_run_lock(run):
        save_config(run, config)
        try:
            for item in STAGES:
                began = time.monotonic()
                how = run_stage(run, config, item.name, force=item.name in anew)
                log_line(f"{item.name:<10} {how:<8} {time.monotonic() - began:7.1f} s")
                if item.name == to_stage != STAGES[-1].name:
                    return RunOutcome(run, None, True)
        except InputError:
            run.discard_if_empty()
            raise
        return publish_outcome(run, config.general.reports)
