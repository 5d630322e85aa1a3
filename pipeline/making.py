"""Make one stage from its inputs, alone or with the other processes of torchrun, and hold it to its promise."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.config import Resolved, Settings
from pipeline.contracts import Context, Dims, Made
from pipeline.graph import ARTIFACTS, Stage, stage
from pipeline.store import Run


def module(name: str) -> Any:
    """A stage's module."""
    return importlib.import_module(f"pipeline.stages.{name}")


def make(item: Stage, config: Settings, context: Context, needs: Mapping[str, Any]) -> Made:
    """What the stage makes of its needs. Raises `ContractError` where a need, or what is made, is not as promised."""
    dims: Dims = {}
    for name, value in needs.items():
        ARTIFACTS[name].check(name, value, dims)
    made: Made = module(item.name).run(config, context, **needs)
    if set(made) != set(item.makes):
        raise AssertionError(f"{item.name} promised {sorted(item.makes)}, made {sorted(made)}")
    for name, value in made.items():
        ARTIFACTS[name].check(name, value, dims)
    return made


def foresee(config: Resolved, names: list[str]) -> None:
    """Ask every stage that has a word on it whether its settings fit these classes; raises `InputError`."""
    for name, settings in config.stages.items():
        if look := getattr(module(name), "foresee", None):
            look(settings, names)


def ranks_here() -> Any:
    """The other processes, where torchrun started several; else None, and torch is not loaded."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return None
    ranks = importlib.import_module("pipeline.learning.ranks")
    ranks.join()
    return ranks


def shared(item: Stage) -> AbstractContextManager[None]:
    """Where ranks share the stage: the others are told to begin, and inside all are together."""
    ranks = ranks_here() if item.shared else None
    if ranks:
        ranks.order(item.name)
    return ranks.together() if ranks else nullcontext()


def followed(run: Run, config: Resolved) -> bool:
    """On every rank but the first: do this rank's share of what the first one does, keep nothing, and say so."""
    ranks = ranks_here()
    if not ranks or ranks.first():
        return False
    for name in ranks.orders():
        item = stage(name)
        with TemporaryDirectory() as aside, ranks.together():
            context = Context(run.run_id, config.general.seed, Path(aside), run.path.parent)
            make(item, config.stages[name], context, {need: run.load(need) for need in item.needs})
    return True
