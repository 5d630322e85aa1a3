"""The product's own gate on a benchmark's candidates: compare and promote, in a home of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from pipeline.contracts import StageContext
from pipeline.domain.gate_conditions import can_promote, evaluate_gate
from pipeline.domain.rules import Condition, Rule
from pipeline.graph import get_stage
from pipeline.learning.training.targeted_treatment import build_targeted_treatment
from pipeline.remedies import apply_remedy
from pipeline.stages import compare
from pipeline.storage.artifact_store import write_json
from tests.bench.remedies.arms import ARMS, Arm, plan_with, train
from tests.bench.remedies.protocol import Protocol

LOT = 0.15  # share of the tracks that a placebo takes for a slice


@dataclass(frozen=True)
class Case:
    """What the gate is asked about: the artifacts that differ from the run's own."""

    plan: pd.DataFrame
    given: dict[str, Any]


def as_prescribed(protocol: Protocol) -> Case:
    """The run's own slices and plan."""
    return Case(pd.DataFrame(protocol.run.load_artifact("plan")), {})


def placebo(protocol: Protocol, number: int) -> Case:
    """One gray level of noise in the plan's images; the even ones for the run's own slice, the odd ones for a random
    lot of tracks that is called one."""
    plan = plan_with(protocol, "noise", 1.0, 1.0)
    if number % 2 == 0:
        return Case(plan, {})
    rng = np.random.default_rng([number, 7])
    groups, code = np.unique(protocol.images["group"].to_numpy(dtype=str), return_inverse=True)
    lot = rng.random(len(groups))[code] + 1e-9 * rng.random(
        len(code)
    )  # one value a group would be its other name
    ids = protocol.run.load_artifact("predictions")["image_id"]
    inside = ids[ids.isin(protocol.images["image_id"][lot <= LOT])]
    told = pd.DataFrame(protocol.run.load_artifact("explanations"))
    first = told[told["slice"].isin(plan["slice"])].head(1)
    name = str(first["slice"].iloc[0])
    rule = Rule((Condition("lot", "<=", LOT),)).dump_json()
    membership = pd.DataFrame({"image_id": inside, "slice": name, "fold": 0, "score": 1.0})
    return Case(
        plan[plan["slice"] == name],
        {
            "images": protocol.images.assign(lot=lot),
            "explanations": first.assign(frozen=rule),
            "membership": membership,
            "policy": {**protocol.run.load_artifact("policy"), "corrections": []},
        },
    )


def promoted(
    protocol: Protocol, case: Case, weights: dict[str, list[tuple[int, Path]]]
) -> tuple[bool, str]:
    """Whether these candidates pass every condition, and how far they came; weights.

    By arm, (seed, file).
    """
    needs = set(get_stage("compare").needs) - {"plan", "candidates", "model"}
    given = {name: protocol.run.load_artifact(name) for name in needs}
    given |= {"model": protocol.run.get_artifact_path("model")} | case.given
    config = compare.Config.model_validate({"max_heat_maps": 0})
    with TemporaryDirectory() as folder:
        home = Path(folder)
        entries = []
        for arm, files in weights.items():
            for seed, file in files:
                (home / f"{arm}-{seed}.safetensors").symlink_to(file.resolve())
                entries.append(
                    {
                        "arm": arm,
                        "seed": seed,
                        "file": f"{arm}-{seed}.safetensors",
                        "temperature": 1.0,
                    }
                )
        write_json(home / "candidates.json", entries)
        context = StageContext("bench", 0, home, home)
        made = compare.run(config, context, **given, plan=case.plan, candidates=home)["comparison"]
    return can_promote(made, evaluate_gate(made)), str(made["outcome"])


def placebo_promoted(protocol: Protocol, number: int, seeds: int, folder: Path) -> bool:
    """Whether a placebo is promoted: so many pairs of a control and a treated arm, none of which serves another number
    (below 1,000)."""
    case = placebo(protocol, number)
    arm = Arm(
        lambda p: p.training_images, lambda p: build_targeted_treatment(case.plan, p.images, apply_remedy)
    )
    weights: dict[str, list[tuple[int, Path]]] = {"control": [], "targeted": []}
    for seed in (10_000 + number + 1_000 * k for k in range(seeds)):
        weights["control"].append((seed, train(protocol, ARMS["control"], seed, folder, "control")))
        weights["targeted"].append((seed, train(protocol, arm, seed, folder, "placebo")))
    return promoted(protocol, case, weights)[0]
