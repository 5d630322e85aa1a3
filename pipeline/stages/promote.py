"""The gate: every condition with its value; moves the champion pointer, or refuses and leaves it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config import StageSettings
from pipeline.contracts import StageContext, StageOutputs
from pipeline.domain.statuses import ComparisonOutcome
from pipeline.learning.training_settings import PROGRAM_FILE
from pipeline.report.slice_sentences import add_sentences
from pipeline.slices.candidates.rule_admission import parse_frozen_rules
from pipeline.slices.tracking import reference_profile
from pipeline.statistics.model_comparison import has_shown_harm
from pipeline.storage import champion_registry
from pipeline.storage.artifact_store import read_json, write_json
from pipeline.storage.bundle_record import BUNDLE_FORMAT, FORMAT_KEY

OUTCOME_HEADLINES = {
    ComparisonOutcome.NO_FAILURES: "nothing to promote: the model makes no mistake on the validation images",
    ComparisonOutcome.NO_SLICE: "nothing to promote: no slice was confirmed",
    ComparisonOutcome.NO_PLAN: "nothing to promote: no confirmed slice has a remedy for training images",
    ComparisonOutcome.NO_CANDIDATES: "nothing to promote: there is no targeted and control model to compare",
    ComparisonOutcome.NO_TEST: "not promoted: there is no test image to prove it on",
    ComparisonOutcome.REFUSED_ON_VAL: (
        "not promoted: the remedy did not prove itself on the validation images; the test stays sealed"
    ),
    ComparisonOutcome.USED_UP: (
        "not promoted: this test set has been opened too often; replace it by newly arrived groups"
    ),
}


class Config(StageSettings):
    """The gate has no settings of its own: levels and margins are those of the comparison."""


def format_points(share: float | None) -> str:
    """A share in percentage points, as in "+2.3 points"."""
    return "unknown" if share is None else f"{100 * share:+.1f} points"


def _build_condition(
    name: str,
    value: float | None,
    threshold: float | None,
    is_passed: bool,
    reason: str,
    evidence_link: str = "#accuracy_change",
) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "threshold": threshold,
        "passed": is_passed,
        "why": reason,
        "evidence": evidence_link,
    }


def _judge_gain(name: str, subset: dict[str, Any], evidence_link: str) -> dict[str, Any]:
    """Whether the lower bound of a gain lies above zero, over all seeds and for the first one."""
    gain, first = subset["gain"], subset["first_seed"]
    bound = (
        gain["bound"]
        if gain["bound"] is None or first["bound"] is None
        else min(gain["bound"], first["bound"])
    )
    needed = subset["groups_needed"]
    more = "" if subset["passed"] or needed is None else f"; about {needed} groups would decide it"
    why = (
        f"{format_points(gain['mean'])} over the control on {subset['n']} images of {subset['groups']} groups, "
        f"at least {format_points(bound)}{more}"
    )
    return _build_condition(name, bound, 0.0, bool(subset["passed"]), why, evidence_link)


def _judge_non_inferiority(
    split: str, non_inferiority: dict[str, Any], margins: dict[str, Any]
) -> list[dict[str, Any]]:
    """Two conditions: not worse overall, and for no class."""
    overall, pooled = non_inferiority["overall"], non_inferiority["pooled"]
    harmed = [c["class"] for c in non_inferiority["classes"] if c["status"] == "harmed"]
    unjudged = sum(c["status"] == "not assessable" for c in non_inferiority["classes"])
    over = f"not worse overall on {split}"
    least, allowed = format_points(overall["bound"]), format_points(-margins["overall"])
    why = f"{format_points(overall['mean'])} overall, at least {least}; {allowed} is allowed"
    classes = f"harm was shown for {', '.join(harmed)}" if harmed else "harm was shown for no class"
    classes += (
        f"; {unjudged} of {len(non_inferiority['classes'])} cannot be judged alone"
        if unjudged
        else ""
    )
    if non_inferiority["pooled_passed"] is not None:
        few = format_points(-margins["by_class"])
        classes += f"; the small classes together changed by at least {format_points(pooled['bound'])}; {few} is allowed"
    value, threshold = float(len(harmed)), 0.0
    if non_inferiority["pooled_passed"] is False and not harmed:
        value, threshold = pooled["bound"], -margins["by_class"]
    return [
        _build_condition(
            over, overall["bound"], -margins["overall"], non_inferiority["overall_passed"], why
        ),
        _build_condition(
            f"no class worse on {split}",
            value,
            threshold,
            non_inferiority["classes_passed"],
            classes,
            "#per_class_metrics",
        ),
    ]


def _judge_outside_harm(split: str, subset: dict[str, Any]) -> dict[str, Any]:
    """Whether harm was shown to the images outside the slices with a remedy; what cannot be judged does not count."""
    gain = subset["gain"]
    harmed = gain["high"] is not None and gain["high"] < 0
    between = f"between {format_points(gain['low'])} and {format_points(gain['high'])}"
    why = f"{format_points(gain['mean'])} on the {subset['n']} other images, {between}"
    return _build_condition(
        f"no harm shown to others on {split}", gain["high"], 0.0, not harmed, why
    )


def _judge_generic_arm(split: str, subset: dict[str, Any]) -> list[dict[str, Any]]:
    """Whether generic augmentation of the same budget was shown to be better; nothing where it was not trained."""
    gain = subset.get("over_generic")
    if not gain:
        return []
    between = f"between {format_points(gain['low'])} and {format_points(gain['high'])}"
    why = f"{format_points(gain['mean'])} over TrivialAugment of the same budget on {subset['n']} images, {between}"
    shown_better = gain["high"] is not None and gain["high"] < 0
    return [
        _build_condition(
            f"generic augmentation is not better on {split}",
            gain["high"],
            0.0,
            not shown_better,
            why,
        )
    ]


def _build_val_conditions(comparison: dict[str, Any]) -> list[dict[str, Any]]:
    val = comparison["val"]
    planned = [s for s in val["slices"] if s["planned"]]
    best = max(planned, key=lambda s: (s["passed"], s["gain"]["bound"] or -1.0))
    gained = _judge_gain(f"{best['slice']} gained on val", best, "#failure_slices")
    worse = _judge_non_inferiority("val", val["non_inferiority"], comparison["margins"])
    return [
        gained,
        *_judge_generic_arm("val", val["primary"]),
        *worse,
        _judge_outside_harm("val", val["outside"]),
    ]


def _build_test_conditions(comparison: dict[str, Any]) -> list[dict[str, Any]]:
    opening, test = comparison["opening"], comparison["test"]
    opened = _build_condition(
        "test opened",
        opening["number"],
        None,
        bool(opening["opened"]),
        opening["reason"],
        "#run_details",
    )
    if test is None:
        return [opened]
    opened["why"] = (
        f"opened for the {opening['ordinal']} time by any run; it may spend alpha = {opening['alpha']:.3g}"
    )
    gained = _judge_gain("the slices with a remedy gained on test", test["primary"], "#accuracy_change")
    worse = _judge_non_inferiority("test", test["non_inferiority"], comparison["margins"])
    return [
        opened,
        gained,
        *_judge_generic_arm("test", test["primary"]),
        *worse,
        _judge_outside_harm("test", test["outside"]),
    ]


def build_conditions(comparison: dict[str, Any]) -> list[dict[str, Any]]:
    """Every condition of the gate that could be judged, each with value, threshold, passed, why and evidence."""
    counts, compared = comparison["counts"], (comparison["val"].get("arms") or {}).get("targeted")
    confirmed, planned = counts["confirmed"], counts["planned"]
    slices = f"{confirmed} of {counts['slices']} proposed groups were confirmed, {planned} with a remedy for training"
    found = [
        _build_condition(
            "a slice with a remedy", float(planned), 1.0, planned > 0, slices, "#failure_slices"
        )
    ]
    if planned and compared:
        found += _build_val_conditions(comparison) + _build_test_conditions(comparison)
    return found


def _describe_generic_limits(comparison: dict[str, Any]) -> list[str]:
    """What was not shown against generic augmentation, on the strongest evidence that was looked at."""
    where = "test" if comparison["test"] else "val"
    part = comparison[where]["primary"]
    if not part or not part["gain"]:
        return []
    gain = part.get("over_generic")
    if not gain:
        return [
            "Generic augmentation was not trained (retrain.generic): whether it would do as well was not judged."
        ]
    if gain["bound"] is not None and gain["bound"] > 0:
        return []
    return [
        f"On {where} the remedy was not shown to be better than generic augmentation of the same budget: "
        f"{format_points(gain['mean'])}, at least {format_points(gain['bound'])}."
    ]


def _list_limits(comparison: dict[str, Any], other_champion: str | None) -> list[str]:
    """What this verdict does not show, in sentences."""
    limits = []
    if comparison["counts"]["seeds"] == 1:
        limits.append(
            "One seed: another run of the same training might differ; seeds were not judged."
        )
    for row in comparison["power"]:
        if row["enough"] is False:
            limits.append(
                f"{row['test'].capitalize()} on {row['split']}: {row['groups']:,} groups are at hand; "
                f"about {row['groups_needed']:,} would decide it."
            )
    limits += _describe_generic_limits(comparison)
    if comparison.get("costs"):
        limits.append(
            "Errors are weighed by evaluate.costs: gains and margins are in points of the worst error."
        )
    if other_champion:
        limits.append(
            f"The candidate was compared with its own control, not with the champion of run {other_champion}."
        )
    return limits


def _write_headline(
    comparison: dict[str, Any], gate_conditions: list[dict[str, Any]], is_promoted: bool
) -> str:
    if comparison["outcome"] != ComparisonOutcome.TESTED:
        return OUTCOME_HEADLINES[comparison["outcome"]]
    gain = comparison["test"]["primary"]["gain"]
    told = f"{format_points(gain['mean'])} over the control on the sealed test's images of the slices with a remedy"
    unjudged = "; seeds were not judged (one seed)" if not gain["seeds_judged"] else ""
    if is_promoted:
        return f"promoted: {told}, at least {format_points(gain['bound'])}{unjudged}"
    failed = [f"“{c['name']}”" for c in gate_conditions if not c["passed"]]
    word = "this condition" if len(failed) == 1 else "these conditions"
    return f"not promoted: {told}, but {word} failed: {', '.join(failed)}{unjudged}"


def _build_served_policy(
    policy: dict[str, Any], comparison: dict[str, Any], arm: str
) -> dict[str, Any]:
    """What goes with the model in force: its own decline rule, and the corrections that help it on val."""
    judged = comparison["corrections"]["val"]
    helped = {row["slice"] for row in judged if row["arm"] == arm and row["helps"]}
    corrections = [item for item in policy["corrections"] if item["slice"] in helped]
    return {**policy, "decline": comparison["decline"][arm], "corrections": corrections}


def _build_known_slices(explanations: pd.DataFrame) -> list[dict[str, Any]]:
    """The confirmed slices in words and with their frozen rules, so that they are known again where images arrive."""
    texts = add_sentences(explanations).set_index("slice")[["words", "title"]].astype(str)
    known = []
    for name, rule in parse_frozen_rules(explanations).items():
        words, title = texts.loc[name]
        known.append({"slice": name, "words": words, "title": title, "rule": rule.dump_json()})
    return known


def _build_reference(
    image_tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
    is_declined: pd.Series,
    explanations: pd.DataFrame,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What is kept of the images that the model learnt from (train) and was judged on (val); none of the sealed test.

    given: images, attributes, splits; declined: whether the model in force declines, by image_id of val."""
    images, attributes, splits = image_tables
    table, basis = reference_profile.build_reference_frame(
        images, attributes, parse_frozen_rules(explanations)
    )
    rows = splits["split"].isin(["train", "val"]).to_numpy()
    said = is_declined.reindex(images["image_id"]).astype(np.float64).reset_index(drop=True)
    return reference_profile.summarize_reference(
        table[rows].reset_index(drop=True), basis, said[rows].reset_index(drop=True), seed
    )


def _write_bundle(
    context: StageContext,
    model: Path,
    candidates: Path,
    bundle_contents: dict[str, Any],
    comparison: dict[str, Any],
    is_promoted: bool,
) -> Path:
    """The model now in force: the first seed's targeted candidate, or the model before. sent: what goes with it."""
    meta = read_json(model / "model.json")
    source, arm, seed = model / "model.safetensors", "before", None
    if is_promoted:
        chosen = next(
            r for r in read_json(candidates / "candidates.json") if r["arm"] == "targeted"
        )
        source, arm, seed = candidates / chosen["file"], "targeted", chosen["seed"]
        meta = {**meta, "temperature": chosen.get("temperature") or meta.get("temperature")}
    folder = context.scratch_folder / "bundle"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copyfile(source, folder / "model.safetensors")
    if (model / PROGRAM_FILE).is_file():
        shutil.copyfile(model / PROGRAM_FILE, folder / PROGRAM_FILE)
    write_json(
        folder / "model.json", meta
    )  # so that a later run can take the champion as its model
    write_json(
        folder / "bundle.json",
        {
            **meta,
            **bundle_contents,
            FORMAT_KEY: BUNDLE_FORMAT,
            "arm": arm,
            "seed": seed,
            "run_id": context.run_id,
            "policy": _build_served_policy(bundle_contents["policy"], comparison, arm),
        },
    )
    return folder


def _move_champion_pointer(
    context: StageContext, is_promoted: bool, harmful: bool
) -> tuple[str, str | None]:
    """Move the config's pointer where the candidate is promoted, or nothing is in force yet and no harm was shown.

    Returns what is in force now (candidate | baseline | kept | none) and the run of another champion found there."""
    name = (
        champion_registry.read_config_name(context.runs_folder / context.run_id)
        or champion_registry.DEFAULT_NAME
    )
    with champion_registry.lock_pointer(context.runs_folder, name) as known:
        other = str(known["run_id"]) if known and known["run_id"] != context.run_id else None
        if not is_promoted and known and (other or known.get("champion") == "baseline"):
            return ("kept" if other else str(known.get("champion", "baseline"))), other
        if harmful and not is_promoted and not known:
            context.add_note(
                f"harm was shown, so no model of {name} is in force; see: nightshift runs promote RUN"
            )
            return "none", None
        kind, how = ("candidate", "promoted") if is_promoted else ("baseline", "the first model")
        champion_registry.set_champion(
            context.runs_folder, name, known, (context.run_id, kind), how
        )
    return kind, other


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
    """Promote the targeted model where every condition holds; safe to repeat."""
    found = build_conditions(comparison)
    promoted = comparison["outcome"] == ComparisonOutcome.TESTED and all(c["passed"] for c in found)
    declined = flips.set_index("image_id")["declined_after" if promoted else "declined_before"]
    table, about = _build_reference(
        (images, attributes, splits), declined, explanations, context.seed
    )
    sent = {"policy": policy, "slices": _build_known_slices(explanations), "reference": about}
    bundle = _write_bundle(context, Path(model), Path(candidates), sent, comparison, promoted)
    table.to_parquet(bundle / reference_profile.REFERENCE_FILE, index=False)
    kind, other = _move_champion_pointer(
        context, promoted, any(has_shown_harm(comparison[part]) for part in ("val", "test"))
    )
    verdict = {
        "promoted": promoted,
        "headline": _write_headline(comparison, found, promoted),
        "conditions": found,
        "limits": _list_limits(comparison, other),
        "champion": kind,
        "seeds_judged": comparison["counts"]["seeds"] > 1,
        "opening": comparison["opening"]["number"],
    }
    return {"verdict": verdict, "bundle": bundle}
