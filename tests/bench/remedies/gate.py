"""The product's gate on the candidates of a benchmark, in a temporary runs folder."""

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
from pipeline.learning.batches.batch_sampling import BatchTreatment
from pipeline.learning.training.targeted_treatment import build_targeted_treatment
from pipeline.remedies import apply_remedy
from pipeline.stages import compare
from pipeline.storage.artifact_store import write_json
from tests.bench.remedies.arms import (
    ARMS,
    Arm,
    ArmSource,
    replace_remedy,
    select_training_images,
    train_arm,
)
from tests.bench.remedies.protocol import DayTrainedProtocol

LOT_SHARE = 0.15  # share of the tracks in the random slice of a placebo
SEED_STEP, FIRST_PLACEBO_SEED = 1_000, 10_000
CandidateFiles = dict[str, list[tuple[int, Path]]]
"""By arm: seed and weights file of each candidate."""


@dataclass(frozen=True)
class GateCase:
    """What the gate judges.

    Attributes:
        plan: the plan of the targeted arm.
        artifacts: artifacts that replace the run's, by name.
    """

    plan: pd.DataFrame
    artifacts: dict[str, Any]


def build_prescribed_case(protocol: DayTrainedProtocol) -> GateCase:
    """Return the slices and the plan of the run itself."""
    return GateCase(protocol.plan, {})


def build_placebo_case(protocol: DayTrainedProtocol, number: int) -> GateCase:
    """Return a plan of one gray level of noise.

    Even numbers are for the slices of the run, odd ones for a random lot of tracks in the place of
    a slice.
    """
    plan = replace_remedy(protocol, "noise", 1.0, 1.0)
    if number % 2 == 0:
        return GateCase(plan, {})
    rng = np.random.default_rng([number, 7])
    names, codes = np.unique(protocol.groups, return_inverse=True)
    # One value for each group would be another name of the group.
    lots = rng.random(len(names))[codes] + 1e-9 * rng.random(len(codes))
    explanations = pd.DataFrame(protocol.run.load_artifact("explanations"))
    explanation = explanations[explanations["slice"].isin(plan["slice"])].head(1)
    slice_name = str(explanation["slice"].iloc[0])
    rule = Rule((Condition("lot", "<=", LOT_SHARE),)).dump_json()
    val_ids = protocol.run.load_artifact("predictions")["image_id"]
    member_ids = val_ids[val_ids.isin(protocol.images["image_id"][lots <= LOT_SHARE])]
    membership = pd.DataFrame(
        {"image_id": member_ids, "slice": slice_name, "fold": 0, "score": 1.0}
    )
    artifacts = {
        "images": protocol.images.assign(lot=lots),
        "explanations": explanation.assign(frozen=rule),
        "membership": membership,
        "policy": {**protocol.run.load_artifact("policy"), "corrections": []},
    }
    return GateCase(plan[plan["slice"] == slice_name], artifacts)


def judge_candidates(
    protocol: DayTrainedProtocol, case: GateCase, candidate_files: CandidateFiles
) -> tuple[bool, str]:
    """Return whether the candidates pass every condition, and the outcome of the comparison.

    Args:
        protocol: the protocol.
        case: plan and artifacts.
        candidate_files: seed and weights file of each candidate, by arm.
    """
    needs = set(get_stage("compare").needs) - {"plan", "candidates", "model"}
    artifacts = {name: protocol.run.load_artifact(name) for name in needs} | case.artifacts
    config = compare.Config.model_validate({"max_heat_maps": 0})
    with TemporaryDirectory() as name:
        folder = Path(name)
        _write_candidates(folder, candidate_files)
        outputs = compare.run(
            config,
            StageContext("bench", 0, folder, folder),
            **artifacts,
            model=protocol.model_folder,
            plan=case.plan,
            candidates=folder,
        )
    comparison = outputs["comparison"]
    return can_promote(comparison, evaluate_gate(comparison)), str(comparison["outcome"])


def _write_candidates(folder: Path, candidate_files: CandidateFiles) -> None:
    entries = []
    for arm, files in candidate_files.items():
        for seed, file in files:
            name = f"{arm}-{seed}.safetensors"
            (folder / name).symlink_to(file.resolve())
            entries.append({"arm": arm, "seed": seed, "file": name, "temperature": 1.0})
    write_json(folder / "candidates.json", entries)


def is_placebo_promoted(
    protocol: DayTrainedProtocol, number: int, seed_count: int, folder: Path
) -> bool:
    """Return whether a placebo is promoted.

    Args:
        protocol: the protocol.
        number: number of the placebo, below 1,000. No pair of arms serves two numbers.
        seed_count: pairs of a control arm and a treated arm.
        folder: folder of the weights.
    """
    case = build_placebo_case(protocol, number)

    def build_treatment(source: ArmSource) -> BatchTreatment:
        return build_targeted_treatment(case.plan, source.images, apply_remedy)

    placebo_arm = Arm(select_training_images, build_treatment)
    files: CandidateFiles = {"control": [], "targeted": []}
    for step in range(seed_count):
        seed = FIRST_PLACEBO_SEED + number + SEED_STEP * step
        control = train_arm(protocol, ARMS["control"], seed, folder, "control")
        placebo = train_arm(protocol, placebo_arm, seed, folder, "placebo")
        files["control"].append((seed, control))
        files["targeted"].append((seed, placebo))
    return judge_candidates(protocol, case, files)[0]
