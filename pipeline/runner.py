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

from pipeline import mirror, store, versions
from pipeline.config import Resolved, Settings, resolve
from pipeline.contracts import Context, InputError
from pipeline.graph import STAGES, Stage, stage, upstream
from pipeline.interrupt import Stopped
from pipeline.making import followed, foresee, make, module, ranks_here, shared
from pipeline.progress import say, tracker
from pipeline.store import Run


def configure(path: Path | None, overrides: Iterable[str] = (), defaults: Mapping[str, Any] = {}) -> Resolved:
    """A config checked against every stage's `Config` class (see `pipeline.config.resolve`)."""
    classes: dict[str, type[Settings]] = {s.name: module(s.name).Config for s in STAGES}
    return resolve(path, overrides, classes, defaults)


def start(config: Resolved) -> Run:
    """A new run folder."""
    return mirror.create(config.general.runs, config.general.name)


def save_config(run: Run, config: Resolved) -> None:
    """Lay the resolved config in the run, whole or not at all; hold the run's lock."""
    store.write_text(run.path / "config.yaml", config.dump())
    mirror.put(run, "config.yaml")


def _inputs(run: Run, config: Resolved, item: Stage) -> dict[str, Any]:
    inputs = {}
    for need in item.needs:
        made_by = next(s.name for s in STAGES if need in s.makes)
        record = run.record(made_by)
        if record is None:
            raise InputError(f"{run.path}: stage {item.name} needs {need}; run the stage {made_by} first")
        inputs[need] = record["artifacts"][need]
    return {"inputs": inputs, "settings": config.stages[item.name].model_dump(mode="json"), "seed": config.general.seed}


def _went_in(run: Run, config: Resolved, item: Stage, force: bool) -> dict[str, Any]:
    """All that decides what the stage makes; raises `InputError` where a needed stage is not up to date."""
    for name in upstream(item.name):
        record, now = run.record(name), _inputs(run, config, stage(name))
        changed = [part for part in now if record and record["went_in"][part] != now[part]]
        if changed:
            parts = " and ".join(changed)
            raise InputError(f"{run.path}: the {parts} of stage {name} changed since it ran; run it first")
    inputs = _inputs(run, config, item)
    return {**inputs, "code": versions.code_version(item.name), "outside": _outside(run, config, item, inputs, force)}


def _outside(run: Run, config: Resolved, item: Stage, inputs: Mapping[str, Any], force: bool) -> str:
    """What the stage takes from outside the run. It is told what this run took before, from the same inputs."""
    look = getattr(module(item.name), "fingerprint", None)
    record = None if force else run.record(item.name)
    before = record["went_in"] if record and all(record["went_in"][part] == inputs[part] for part in inputs) else {}
    seen = str(look(config.stages[item.name], run.path, before.get("outside"))) if look else ""
    return store.key_of(seen, run.run_id, _facts(run, config, item)) if item.identity else seen


def _facts(run: Run, config: Resolved, item: Stage) -> dict[str, Any]:
    records = {name: run.record(name) or {} for name in store.finished(run) if name != item.name}
    stages = [{"name": n, "seconds": r.get("seconds", 0.0), "notes": r.get("notes", [])} for n, r in records.items()]
    return {"config": config.dump(), "versions": versions.versions(), "stages": stages}


def _previous(run: Run, item: Stage, went_in: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if not item.reuses:
        return None
    for other in store.runs(run.path.parent):
        try:
            record = other.record(item.name)
            same = record and all(record["went_in"][part] == went_in[part] for part in ("settings", "code"))
            if same and other.intact(item.name):
                return {name: other.load(name) for name in item.makes}
        except InputError:  # a damaged neighbour is no help, and no reason to stop
            continue
    return None


def _linkable(run: Run, item: Stage, key: str) -> Run | None:
    if item.effects or item.identity:
        return None
    for other in store.runs(run.path.parent):
        try:
            record = other.record(item.name)
            if other.run_id != run.run_id and record and record["key"] == key and other.intact(item.name):
                return other
        except InputError:
            continue
    return None


def _require_whole(run: Run, item: Stage) -> None:
    for name in upstream(item.name):
        if damage := run.damage(name):
            raise InputError(f"{damage}; make it anew with: nightshift run --resume {run.path}")


def run_stage(run: Run, config: Resolved, name: str, *, force: bool = False) -> str:
    """Bring one stage of `run` up to date; returns `skipped`, `linked` or `done`.

    Raises `InputError` where a needed stage has not run or the input cannot be used, `ContractError` where
    a stage broke its promise. Whatever happens, the run keeps its earlier finished stages. What was altered since it
    was written is made anew where it is this stage's, and refused by name where it is an earlier one's.
    """
    how = _bring(run, config, stage(name), force)
    if "classes" in stage(name).makes:
        foresee(config, list(run.load("classes")["names"]))
    mirror.publish(run, name)
    return how


def _bring(run: Run, config: Resolved, item: Stage, force: bool) -> str:
    """What `run_stage` does in the run's folder."""
    name, went_in = item.name, _went_in(run, config, item, force)
    key = store.key_of(name, went_in)
    record = run.record(name)
    if record and record["key"] == key and not force:
        if not (damage := run.damage(name)):
            return "skipped"
        say(f"  {name}: {damage}; made anew")
    _require_whole(run, item)
    other = None if force else _linkable(run, item, key)
    if other:
        run.link(name, other)
        return "linked"
    context = Context(
        run_id=run.run_id,
        seed=config.general.seed,
        scratch=run.scratch(name, key),
        home=run.path.parent,
        track=tracker(name),
        previous=_previous(run, item, went_in),
        facts=_facts(run, config, item),
        on_note=lambda line: say(f"  {name}: {line}"),
    )
    began = time.monotonic()
    with shared(item):
        made = make(item, config.stages[name], context, {need: run.load(need) for need in item.needs})
    seconds = round(time.monotonic() - began, 2)
    run.save(name, made, {"key": key, "went_in": went_in, "notes": context.notes, "seconds": seconds})
    return "done"


def _descendants(name: str) -> set[str]:
    reached = {name}
    for item in STAGES:
        if reached & set(upstream(item.name)):
            reached.add(item.name)
    return reached


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the report's path where it got that far, whether every condition held, and the verdict."""

    run: Run
    report: Path | None
    passed: bool
    headline: str = ""


def _summary(run: Run) -> dict[str, Any] | None:
    try:
        return dict(run.load("summary")) if run.file("summary").is_file() else None
    except InputError:
        return None


def brief(run: Run) -> dict[str, Any]:
    """A run in one row of a listing: run, state (promoted, not promoted, nothing to promote), confirmed slices, how
    many of those that are followed are in which state, why."""
    from pipeline.sections.words import counted

    summary = run.load("summary") if run.file("summary").is_file() else {}
    verdict = summary.get("verdict", {})
    state, _, why = verdict.get("headline", f"{len(store.finished(run))} stages done").partition(": ")
    confirmed = [s for s in summary.get("slices", []) if s.get("status") == "confirmed"]
    followed = counted(summary.get("followed", []))
    return {"run": run.run_id, "state": state, "slices": len(confirmed), "followed": followed, "why": why}


def publish(run: Run, reports: Path) -> Path:
    """Lay the run's page, its tables and its summary in `reports/<run_id>/`, and renew the list of all runs."""
    folder = reports / run.run_id
    shutil.copytree(run.file("html"), folder, dirs_exist_ok=True)
    summary = run.load("summary")
    for place in (run.path, folder):
        store.write_json(place / "summary.json", summary)
    publish_index(run.path.parent, reports)
    return folder / "index.html"


def publish_index(home: Path, reports: Path) -> None:
    """Make the page of all runs anew."""
    from pipeline.sections.index import render_index

    every = [s for s in map(_summary, store.runs(home)) if s is not None]
    store.write_text(reports / "index.html", render_index(every))


def outcome(run: Run, reports: Path) -> Outcome:
    """What stands in the run folder now; publishes the report where there is one."""
    verdict = run.load("verdict") if run.file("verdict").is_file() else None
    page = publish(run, reports) if run.file("summary").is_file() else None
    return Outcome(run, page, verdict is None or bool(verdict["promoted"]), verdict["headline"] if verdict else "")


@contextmanager
def at_work(run: Run) -> Iterator[None]:
    """Hold the run's lock; where somebody or the disk stops the work, say how to go on with it."""
    ranks = ranks_here()
    try:
        with run.lock(), mirror.at_work(run, say):
            yield
    except BaseException as error:
        if isinstance(error, (Stopped, OSError)):
            say(f"stopped; go on with: nightshift run --resume {run.path}")
        if ranks:
            ranks.dismiss(well=False)
        raise
    if ranks:
        ranks.dismiss(well=True)


def execute_one(run: Run, config: Resolved, name: str, *, force: bool = False) -> None:
    """Bring one stage up to date, and say how."""
    if not followed(run, config):
        with at_work(run):
            save_config(run, config)
            say(f"{name}: {run_stage(run, config, name, force=force and not _restarted())}")


def _restarted() -> bool:
    """Whether torchrun started this process again, after one of its ranks died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def execute(
    run: Run, config: Resolved, *, to_stage: str | None = None, from_stage: str | None = None, force: bool = False
) -> Outcome:
    """Bring every stage up to `to_stage` up to date, in the order of the graph.

    from_stage: make this stage and all that depends on it anew. force: make every stage anew.
    """
    if followed(run, config):
        return Outcome(run, None, True)
    anew = {s.name for s in STAGES} if force else _descendants(from_stage) if from_stage else set[str]()
    anew = set() if _restarted() else anew
    with at_work(run):
        save_config(run, config)
        try:
            for item in STAGES:
                began = time.monotonic()
                how = run_stage(run, config, item.name, force=item.name in anew)
                say(f"{item.name:<10} {how:<8} {time.monotonic() - began:7.1f} s")
                if item.name == to_stage != STAGES[-1].name:
                    return Outcome(run, None, True)
        except InputError:
            run.discard_if_empty()
            mirror.discard(run)
            raise
        return outcome(run, config.general.reports)
