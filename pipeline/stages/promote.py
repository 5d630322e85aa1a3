"""Stage `promote`: judge the gate, write the model in force, and move the champion pointer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from pipeline.config import StageSettings
from pipeline.contracts import StageContext, StageOutputs
from pipeline.data.quality.value_ranges import find_used_range
from pipeline.domain.gate_conditions import (
    can_promote,
    evaluate_gate,
    list_caveats,
    name_arm_in_force,
)
from pipeline.domain.statuses import ChampionStatus
from pipeline.learning.training_settings import PROGRAM_FILE
from pipeline.report.sentences.slice_sentences import add_sentences
from pipeline.slices.candidates.rule_admission import parse_frozen_rules
from pipeline.slices.comparison.arrival_evidence import collect_arrival_evidence
from pipeline.slices.tracking.reference_profile import (
    REFERENCE_FILE,
    build_reference_frame,
    summarize_reference,
)
from pipeline.statistics.model_comparison import has_shown_harm
from pipeline.storage import champion_registry
from pipeline.storage.arrival_ledger import get_arrivals_path
from pipeline.storage.artifact_store import hash_content, read_json, write_json
from pipeline.storage.bundle_record import BUNDLE_FORMAT, FORMAT_KEY, RECORD_FILE, SEEN_GROUPS_KEY

WEIGHTS_FILE = "model.safetensors"


class Config(StageSettings):
    """Settings of the gate; levels and margins are those of the comparison."""

    replace_unjudged: bool = Field(
        False,
        description="replace a model in force that cannot be compared, such as one of other "
        "classes",
    )


def run(
    config: Config,
    context: StageContext,
    *,
    comparison: dict[str, Any],
    candidates: Path,
    model: Path,
    policy: dict[str, Any],
    explanations: pd.DataFrame,
    images: pd.DataFrame,
    attributes: pd.DataFrame,
    splits: pd.DataFrame,
    flips: pd.DataFrame,
) -> StageOutputs:
    """Return `verdict` and `bundle`; the candidate is promoted if every condition holds.

    A repeated call changes nothing.

    Args:
        config: settings of the stage.
        context: seed, progress, notes and folders.
        comparison: the artifact of that name, as the further arguments.
    """
    comparison = _note_replaced_champion(context, comparison)
    arrivals = None
    if "targeted" in (comparison["val"].get("arms") or {}):
        weights = Path(candidates) / _find_first_targeted(Path(candidates))["file"]
        pair = (weights, _find_weights_in_force(context, comparison, Path(model)))
        run_path = context.runs_folder / context.run_id
        arrivals = collect_arrival_evidence(run_path, comparison, pair, images["group"])
    conditions = evaluate_gate(
        comparison, is_unjudged_champion_accepted=config.replace_unjudged, arrivals=arrivals
    )
    is_promoted = can_promote(comparison, conditions)
    is_declined = flips.set_index("image_id")[
        "declined_after" if is_promoted else "declined_before"
    ]
    reference, reference_record = _summarize_data(
        context, is_declined, images, attributes, splits, explanations
    )
    record = {
        "policy": policy,
        "slices": _list_known_slices(explanations),
        "reference": reference_record,
        "range": find_used_range(images["source"]),
    }
    bundle = _write_bundle(context, record, is_promoted, comparison, Path(model), Path(candidates))
    reference.to_parquet(bundle / REFERENCE_FILE, index=False)
    has_harm = any(has_shown_harm(comparison[split]) for split in ("val", "test"))
    champion = _move_champion_pointer(context, is_promoted, has_harm)
    verdict = {
        "promoted": is_promoted,
        "outcome": comparison["outcome"],
        "gain": _select_gain(comparison),
        "foreseen": comparison["foreseen"],
        "arrivals": arrivals,
        "conditions": conditions,
        "limits": list_caveats(comparison),
        "champion": champion,
        "seeds_judged": comparison["counts"]["seeds"] > 1,
        "opening": comparison["opening"]["number"],
    }
    return {"verdict": verdict, "bundle": bundle}


def fingerprint_external_inputs(
    config: Config, run_path: Path, earlier_fingerprint: str | None
) -> str:
    """Return a hash of the labeled batches that arrived since, a part of the stage's key.

    Args:
        config: settings of the stage.
        run_path: folder of the run.
        earlier_fingerprint: unused; new batches change the verdict.
    """
    path = get_arrivals_path(run_path.parent, run_path.name)
    return hash_content(path) if path.is_file() else ""


def _find_weights_in_force(context: StageContext, comparison: dict[str, Any], model: Path) -> Path:
    """Return the weights of the model that the candidate would replace."""
    if comparison["champion"]["status"] != ChampionStatus.COMPARED:
        return model / WEIGHTS_FILE
    pointer = champion_registry.read_recorded_champion(context.runs_folder / context.run_id)
    folder = champion_registry.find_bundle(context.runs_folder, pointer) if pointer else None
    return (folder or model) / WEIGHTS_FILE


def _select_gain(comparison: dict[str, Any]) -> dict[str, Any] | None:
    """Return the gain over the model in force on the planned slices of test; None if sealed."""
    if not comparison["test"]:
        return None
    arm = name_arm_in_force(comparison)
    gain = comparison["test"]["primary"]["over"][arm]
    is_averaged = comparison["counts"]["seeds"] > 1  # then no single seed is judged or shipped
    return {
        "reference": arm,
        "mean": gain["mean"],
        "bound": gain["bound"],
        "seeds_judged": gain["seeds_judged"] or is_averaged,
    }


def _note_replaced_champion(context: StageContext, comparison: dict[str, Any]) -> dict[str, Any]:
    """Return the comparison, its champion marked as replaced if another run was promoted since."""
    name = _read_config_name(context)
    pointer = champion_registry.read_pointer(context.runs_folder, name)
    known = {None, context.run_id, comparison["champion"]["run_id"]}
    if pointer is None or pointer["run_id"] in known:
        return comparison
    record = {"status": ChampionStatus.REPLACED, "run_id": str(pointer["run_id"])}
    return {**comparison, "champion": record}


def _read_config_name(context: StageContext) -> str:
    name = champion_registry.read_config_name(context.runs_folder / context.run_id)
    return name or champion_registry.DEFAULT_NAME


def _list_known_slices(explanations: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the confirmed slices with their frozen rules, so that arriving images are matched."""
    texts = add_sentences(explanations).set_index("slice")
    known = []
    for name, rule in parse_frozen_rules(explanations).items():
        known.append(
            {
                "slice": name,
                "words": str(texts.at[name, "words"]),
                "title": str(texts.at[name, "title"]),
                "rule": rule.dump_json(),
            }
        )
    return known


def _summarize_data(
    context: StageContext,
    is_declined: pd.Series[bool],
    images: pd.DataFrame,
    attributes: pd.DataFrame,
    splits: pd.DataFrame,
    explanations: pd.DataFrame,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the data that arriving images are compared with: of train and val, none of test.

    `is_declined`: whether the model in force declines an image of val, by image_id.
    """
    rules = parse_frozen_rules(explanations)
    table, basis = build_reference_frame(images, attributes, rules)
    is_kept = splits["split"].isin(["train", "val"]).to_numpy()
    declined = is_declined.reindex(images["image_id"]).astype(np.float64)
    return summarize_reference(
        table[is_kept].reset_index(drop=True),
        basis,
        declined[is_kept].reset_index(drop=True),
        context.seed,
    )


def _write_bundle(
    context: StageContext,
    record: dict[str, Any],
    is_promoted: bool,
    comparison: dict[str, Any],
    model: Path,
    candidates: Path,
) -> Path:
    """Return the folder of the model in force: the compared candidate, or the baseline."""
    meta = read_json(model / "model.json")
    weights = model / WEIGHTS_FILE
    arm, seed = "before", None
    if is_promoted:
        entry = _find_first_targeted(candidates)
        weights = candidates / entry["file"]
        arm, seed = "targeted", entry["seed"]
        meta = {**meta, "temperature": entry.get("temperature") or meta.get("temperature")}
        seen = (comparison.get("real_images") or {}).get("groups") or meta.get(SEEN_GROUPS_KEY)
        meta |= {SEEN_GROUPS_KEY: seen} if seen else {}
    folder = context.scratch_folder / "bundle"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copyfile(weights, folder / WEIGHTS_FILE)
    if (model / PROGRAM_FILE).is_file():
        shutil.copyfile(model / PROGRAM_FILE, folder / PROGRAM_FILE)
    write_json(folder / "model.json", meta)  # a later run may take the champion as its model
    origin = {FORMAT_KEY: BUNDLE_FORMAT, "arm": arm, "seed": seed, "run_id": context.run_id}
    policy = _build_served_policy(record["policy"], comparison, arm)
    write_json(folder / RECORD_FILE, {**meta, **record, **origin, "policy": policy})
    return folder


def _find_first_targeted(candidates: Path) -> dict[str, Any]:
    """Return the entry of the targeted model that was compared: the average, or the one seed."""
    for entry in read_json(candidates / "candidates.json"):
        if entry["arm"] == "targeted":
            return dict(entry)
    raise AssertionError("a promoted run has a targeted candidate")


def _build_served_policy(
    policy: dict[str, Any], comparison: dict[str, Any], arm: str
) -> dict[str, Any]:
    """Return the policy with decline rule and confirmed corrections of the model in force."""
    confirmed = set()
    for row in comparison["corrections"]["val"]:
        if row["arm"] == arm and row["is_confirmed"]:
            confirmed.add(row["slice"])
    corrections = [item for item in policy["corrections"] if item["slice"] in confirmed]
    return {**policy, "decline": comparison["decline"][arm], "corrections": corrections}


def _move_champion_pointer(context: StageContext, is_promoted: bool, has_harm: bool) -> str:
    """Put the candidate in force if it is promoted, or the baseline if nothing is in force yet.

    Args:
        context: names the run and its config.
        is_promoted: whether the candidate was promoted.
        has_harm: whether harm was shown; then no first model is put in force.

    Returns:
        The model in force: candidate, baseline, kept or none.
    """
    runs_folder = context.runs_folder
    name = _read_config_name(context)
    with champion_registry.lock_pointer(runs_folder, name) as pointer:
        has_other = pointer is not None and pointer["run_id"] != context.run_id
        if not is_promoted and has_other:
            return "kept"
        if not is_promoted and pointer and pointer.get("champion") == "baseline":
            return "baseline"
        if not is_promoted and has_harm and not pointer:
            context.add_note(
                f"harm was shown, so no model of {name} is in force; "
                "see: nightshift runs promote RUN"
            )
            return "none"
        kind = "candidate" if is_promoted else "baseline"
        reason = "promoted" if is_promoted else "the first model"
        champion_registry.set_champion(runs_folder, name, pointer, (context.run_id, kind), reason)
    return kind
