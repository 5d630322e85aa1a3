"""Make one stage from its inputs, alone or with the other processes of torchrun, and hold it to its promise."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.config import ResolvedConfig, StageSettings
from pipeline.contracts import DimensionSizes, StageContext, StageOutputs
from pipeline.graph import ARTIFACT_CONTRACTS, Stage, get_stage
from pipeline.storage.artifact_store import RunFolder


def load_stage_module(name: str) -> Any:
    """A stage's module."""
    return importlib.import_module(f"pipeline.stages.{name}")


def produce_outputs(
    item: Stage, config: StageSettings, context: StageContext, inputs: Mapping[str, Any]
) -> StageOutputs:
    """What the stage makes of its needs. Raises `ContractError` where a need, or what is made, is not as promised."""
    dims: DimensionSizes = {}
    for name, value in inputs.items():
        ARTIFACT_CONTRACTS[name].check_value(name, value, dims)
    made: StageOutputs = load_stage_module(item.name).run(config, context, **inputs)
    if set(made) != set(item.makes):
        raise AssertionError(f"{item.name} promised {sorted(item.makes)}, made {sorted(made)}")
    for name, value in made.items():
        ARTIFACT_CONTRACTS[name].check_value(name, value, dims)
    return made


def check_class_settings(config: ResolvedConfig, class_names: list[str]) -> None:
    """Ask every stage that has a word on it whether its settings fit these classes; raises `InputError`."""
    for name, settings in config.stages.items():
        if look := getattr(load_stage_module(name), "check_classes", None):
            look(settings, class_names)


def join_ranks() -> Any:
    """The other processes, where torchrun started several; else None, and torch is not loaded."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return None
    ranks = importlib.import_module("pipeline.learning.distributed")
    ranks.join()
    return ranks


def share_stage(item: Stage) -> AbstractContextManager[None]:
    """Where ranks share the stage: the others are told to begin, and inside all are together."""
    ranks = join_ranks() if item.is_distributed else None
    if ranks:
        ranks.order(item.name)
    return ranks.together() if ranks else nullcontext()


def follow_first_rank(run: RunFolder, config: ResolvedConfig) -> bool:
    """On every rank but the first: do this rank's share of what the first one does, keep nothing, and say so."""
    ranks = join_ranks()
    if not ranks or ranks.first():
        return False
    for name in ranks.orders():
        item = get_stage(name)
        with TemporaryDirectory() as aside, ranks.together():
            context = StageContext(run.run_id, config.general.seed, Path(aside), run.path.parent)
            produce_outputs(
                item,
                config.stages[name],
                context,
                {need: run.load_artifact(need) for need in item.needs},
            )
    return True
