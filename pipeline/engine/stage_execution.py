"""Execution of one stage, in one process or several, with its contract checks."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.config import ResolvedConfig, StageSettings
from pipeline.contracts import DimensionSizes, StageContext, StageOutputs
from pipeline.graph import ARTIFACT_CONTRACTS, STAGES, Stage, get_stage
from pipeline.storage.artifact_store import RunFolder


def load_stage_module(name: str) -> Any:
    """Return the module of a stage."""
    return importlib.import_module(f"pipeline.stages.{name}")


def load_settings_classes() -> dict[str, type[StageSettings]]:
    """Return the `Config` class of each stage, by name, in the order of the graph."""
    return {stage.name: load_stage_module(stage.name).Config for stage in STAGES}


def produce_outputs(
    item: Stage, config: StageSettings, context: StageContext, inputs: Mapping[str, Any]
) -> StageOutputs:
    """Run a stage and return its outputs by artifact name.

    Args:
        item: the stage.
        config: its settings.
        context: what it may use besides.
        inputs: values of the artifacts that it needs, by name.

    Raises:
        ContractError: an input or output breaks its contract.
    """
    dimensions: DimensionSizes = {}
    for name, value in inputs.items():
        ARTIFACT_CONTRACTS[name].check_value(name, value, dimensions)
    outputs: StageOutputs = load_stage_module(item.name).run(config, context, **inputs)
    if set(outputs) != set(item.makes):
        raise AssertionError(f"{item.name}: expected {sorted(item.makes)}, got {sorted(outputs)}")
    for name, value in outputs.items():
        ARTIFACT_CONTRACTS[name].check_value(name, value, dimensions)
    return outputs


def check_class_settings(config: ResolvedConfig, class_names: list[str]) -> None:
    """Check settings that name classes against the classes of the data.

    Raises:
        InputError: a setting names an unknown class.
    """
    for name, settings in config.stages.items():
        check = getattr(load_stage_module(name), "check_classes", None)
        if check is not None:
            check(settings, class_names)


def share_stage(item: Stage) -> AbstractContextManager[None]:
    """Return a context for work that all processes share, if the stage is distributed."""
    if not item.is_distributed:
        return nullcontext()
    from pipeline.learning.distributed import share_work

    return share_work(item.name)


def follow_first_process(fabric: Any, run: RunFolder, config: ResolvedConfig) -> None:
    """Do this process's part of the first one's work until it ends, without saving anything.

    Args:
        fabric: the services of all processes.
        run: the run.
        config: its config.
    """
    from pipeline.learning.distributed import use_fabric

    while name := fabric.broadcast(""):
        item = get_stage(name)
        with TemporaryDirectory() as scratch, use_fabric(fabric):
            context = StageContext(run.run_id, config.general.seed, Path(scratch), run.path.parent)
            inputs = {need: run.load_artifact(need) for need in item.needs}
            produce_outputs(item, config.stages[name], context, inputs)
