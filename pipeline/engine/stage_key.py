"""The key of a stage: a hash of everything that decides its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.config import ResolvedConfig
from pipeline.contracts import InputError
from pipeline.engine import code_fingerprint
from pipeline.engine.stage_execution import load_stage_module
from pipeline.graph import Stage, find_producer, get_stage, list_upstream_stages
from pipeline.storage import artifact_store
from pipeline.storage.artifact_store import RunFolder


def _collect_inputs(run: RunFolder, config: ResolvedConfig, stage: Stage) -> dict[str, Any]:
    """Return the content hashes of a stage's needs, its settings and the seed.

    Raises:
        InputError: a stage that makes a need has not run.
    """
    hashes = {}
    for need in stage.needs:
        producer = find_producer(need).name
        record = run.read_record(producer)
        if record is None or need not in record["artifacts"]:
            raise InputError(
                f"{run.path}: stage {stage.name} needs {need}; run the stage {producer} first"
            )
        hashes[need] = record["artifacts"][need]
    followed = collect_followed_settings(config, stage)
    settings = config.stages[stage.name].model_dump(mode="json")
    return {"inputs": hashes, "settings": settings | followed, "seed": config.general.seed}


def collect_followed_settings(config: ResolvedConfig, stage: Stage) -> dict[str, Any]:
    """Return the settings of other stages that a stage follows, by key such as `train.minutes`.

    A stage's module may define `list_followed_settings(config)`, which returns their keys.

    Args:
        config: the config.
        stage: the stage.
    """
    list_keys = getattr(load_stage_module(stage.name), "list_followed_settings", None)
    followed = {}
    for key in list_keys(config.stages[stage.name]) if list_keys else ():
        section, _, name = key.partition(".")
        followed[key] = config.stages[section].model_dump(mode="json")[name]
    return followed


def _require_current_upstream(run: RunFolder, config: ResolvedConfig, stage: Stage) -> None:
    """Raise `InputError` unless the stages that make this stage's needs are up to date."""
    for name in list_upstream_stages(stage.name):
        record = run.read_record(name)
        inputs = _collect_inputs(run, config, get_stage(name))
        changed = []
        for part, value in inputs.items():
            if record and record["went_in"].get(part) != value:
                changed.append(part)
        if changed:
            parts = " and ".join(changed)
            raise InputError(
                f"{run.path}: the {parts} of stage {name} changed since it ran; run it first"
            )


def collect_key_parts(
    run: RunFolder, config: ResolvedConfig, stage: Stage, *, force: bool
) -> dict[str, Any]:
    """Return all that decides a stage's outputs: inputs, settings, seed, code, external inputs.

    Args:
        run: the run.
        config: its config.
        stage: the stage.
        force: whether external inputs are read again instead of those that the run used before.

    Raises:
        InputError: a stage that it needs has not run or is not up to date.
    """
    _require_current_upstream(run, config, stage)
    inputs = _collect_inputs(run, config, stage)
    return {
        **inputs,
        "code": code_fingerprint.hash_stage_code(stage.name),
        "outside": _fingerprint_external_inputs(run, config, stage, inputs, force),
    }


def _fingerprint_external_inputs(
    run: RunFolder, config: ResolvedConfig, stage: Stage, inputs: Mapping[str, Any], force: bool
) -> str:
    """Return the fingerprint of what the stage reads from outside the run.

    A stage's module may define `fingerprint_external_inputs(config, run_path,
    earlier_fingerprint)`. The earlier fingerprint is from this run with the same inputs, else
    None.
    """
    fingerprint_inputs = getattr(load_stage_module(stage.name), "fingerprint_external_inputs", None)
    fingerprint = ""
    if fingerprint_inputs is not None:
        earlier = None if force else _read_earlier_fingerprint(run, stage, inputs)
        fingerprint = str(fingerprint_inputs(config.stages[stage.name], run.path, earlier))
    if not stage.is_run_specific:
        return fingerprint
    run_facts = collect_run_facts(run, config, stage)
    return artifact_store.compute_key(fingerprint, run.run_id, run_facts)


def _read_earlier_fingerprint(
    run: RunFolder, stage: Stage, inputs: Mapping[str, Any]
) -> str | None:
    record = run.read_record(stage.name)
    key_parts = record["went_in"] if record else {}
    for part, value in inputs.items():
        if part not in key_parts or key_parts[part] != value:
            return None
    return key_parts.get("outside")


def collect_run_facts(run: RunFolder, config: ResolvedConfig, stage: Stage) -> dict[str, Any]:
    """Return what a stage may show of its run: `config` (YAML), `versions` and earlier `stages`.

    Args:
        run: the run.
        config: its config.
        stage: the stage, which is left out of `stages`.
    """
    stages = []
    for name in artifact_store.list_finished_stages(run):
        if name != stage.name:
            record = run.read_record(name) or {}
            stages.append(
                {
                    "name": name,
                    "seconds": record.get("seconds", 0.0),
                    "notes": record.get("notes", []),
                }
            )
    return {
        "config": config.dump_yaml(run.path),
        "versions": code_fingerprint.collect_versions(),
        "stages": stages,
    }
