"""The gate: every condition with its value; moves the champion pointer, or refuses and leaves it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import champion
from pipeline.config import Settings
from pipeline.contracts import Context, Made
from pipeline.evidence.selective import sure_enough
from pipeline.slicing import reference
from pipeline.slicing.admission import frozen_rules
from pipeline.slicing.case import light_of
from pipeline.store import read_json, write_json

NOTHING = {
    "no failures": "nothing to promote: the model makes no mistake on the validation photos",
    "no slice": "nothing to promote: no slice was confirmed",
    "no plan": "nothing to promote: no confirmed slice has a remedy for training photos",
    "no candidates": "nothing to promote: there is no targeted and control model to compare",
    "no test": "not promoted: there is no test photo to prove it on",
    "refused on val": "not promoted: the remedy did not prove itself on the validation photos; the test stays sealed",
    "used up": "not promoted: this test set has been opened too often; replace it by newly arrived groups",
}


class Config(Settings):
    """The gate has no settings of its own: levels and margins are those of the comparison."""


def points(share: float | None) -> str:
    """A share in percentage points, as in "+2.3 points"."""
    return "unknown" if share is None else f"{100 * share:+.1f} points"


def _condition(
    name: str, value: float | None, threshold: float | None, passed: bool, why: str, evidence: str = "#headline"
) -> dict[str, Any]:
    return {"name": name, "value": value, "threshold": threshold, "passed": passed, "why": why, "evidence": evidence}


def _gain(name: str, part: dict[str, Any], evidence: str) -> dict[str, Any]:
    """Whether the lower bound of a gain lies above zero, over all seeds and for the first one."""
    gain, first = part["gain"], part["first_seed"]
    bound = gain["bound"] if gain["bound"] is None or first["bound"] is None else min(gain["bound"], first["bound"])
    needed = part["groups_needed"]
    more = "" if part["passed"] or needed is None else f"; about {needed} groups would decide it"
    why = (
        f"{points(gain['mean'])} over the control on {part['n']} photos of {part['groups']} groups, "
        f"at least {points(bound)}{more}"
    )
    return _condition(name, bound, 0.0, bool(part["passed"]), why, evidence)


def _worse(where: str, worse: dict[str, Any], margins: dict[str, Any]) -> list[dict[str, Any]]:
    """Two conditions: not worse overall, and for no class."""
    overall, pooled = worse["overall"], worse["pooled"]
    harmed = [c["class"] for c in worse["classes"] if c["status"] == "harmed"]
    unjudged = sum(c["status"] == "not assessable" for c in worse["classes"])
    over = f"not worse overall on {where}"
    least, allowed = points(overall["bound"]), points(-margins["overall"])
    why = f"{points(overall['mean'])} overall, at least {least}; {allowed} is allowed"
    classes = f"harm was shown for {', '.join(harmed)}" if harmed else "harm was shown for no class"
    classes += f"; {unjudged} of {len(worse['classes'])} cannot be judged alone" if unjudged else ""
    if worse["pooled_passed"] is not None:
        few = points(-margins["by_class"])
        classes += f"; the small classes together changed by at least {points(pooled['bound'])}; {few} is allowed"
    value, threshold = float(len(harmed)), 0.0
    if worse["pooled_passed"] is False and not harmed:
        value, threshold = pooled["bound"], -margins["by_class"]
    return [
        _condition(over, overall["bound"], -margins["overall"], worse["overall_passed"], why),
        _condition(f"no class worse on {where}", value, threshold, worse["classes_passed"], classes, "#classes"),
    ]


def _outside(where: str, part: dict[str, Any]) -> dict[str, Any]:
    """Whether harm was shown to the photos outside the slices with a remedy; what cannot be judged does not count."""
    gain = part["gain"]
    harmed = gain["high"] is not None and gain["high"] < 0
    between = f"between {points(gain['low'])} and {points(gain['high'])}"
    why = f"{points(gain['mean'])} on the {part['n']} other photos, {between}"
    return _condition(f"no harm shown to others on {where}", gain["high"], 0.0, not harmed, why)


def _generic(where: str, part: dict[str, Any]) -> list[dict[str, Any]]:
    """Whether generic augmentation of the same budget was shown to be better; nothing where it was not trained."""
    gain = part.get("over_generic")
    if not gain:
        return []
    between = f"between {points(gain['low'])} and {points(gain['high'])}"
    why = f"{points(gain['mean'])} over TrivialAugment of the same budget on {part['n']} photos, {between}"
    shown_better = gain["high"] is not None and gain["high"] < 0
    return [_condition(f"generic augmentation is not better on {where}", gain["high"], 0.0, not shown_better, why)]


def _val_conditions(comparison: dict[str, Any]) -> list[dict[str, Any]]:
    val = comparison["val"]
    planned = [s for s in val["slices"] if s["planned"]]
    best = max(planned, key=lambda s: (s["passed"], s["gain"]["bound"] or -1.0))
    gained = _gain(f"{best['slice']} gained on val", best, "#slices")
    worse = _worse("val", val["non_inferiority"], comparison["margins"])
    return [gained, *_generic("val", val["primary"]), *worse, _outside("val", val["outside"])]


def _test_conditions(comparison: dict[str, Any]) -> list[dict[str, Any]]:
    opening, test = comparison["opening"], comparison["test"]
    opened = _condition("test opened", opening["number"], None, bool(opening["opened"]), opening["reason"], "#identity")
    if test is None:
        return [opened]
    opened["why"] = f"opened for the {opening['ordinal']} time by any run; it may spend alpha = {opening['alpha']:.3g}"
    gained = _gain("the slices with a remedy gained on test", test["primary"], "#headline")
    worse = _worse("test", test["non_inferiority"], comparison["margins"])
    return [opened, gained, *_generic("test", test["primary"]), *worse, _outside("test", test["outside"])]


def conditions(comparison: dict[str, Any]) -> list[dict[str, Any]]:
    """Every condition of the gate that could be judged, each with value, threshold, passed, why and evidence."""
    counts, compared = comparison["counts"], (comparison["val"].get("arms") or {}).get("targeted")
    confirmed, planned = counts["confirmed"], counts["planned"]
    slices = f"{confirmed} of {counts['slices']} proposed groups were confirmed, {planned} with a remedy for training"
    found = [_condition("a slice with a remedy", float(planned), 1.0, planned > 0, slices, "#slices")]
    if planned and compared:
        found += _val_conditions(comparison) + _test_conditions(comparison)
    return found


def _against_generic(comparison: dict[str, Any]) -> list[str]:
    """What was not shown against generic augmentation, on the strongest evidence that was looked at."""
    where = "test" if comparison["test"] else "val"
    part = comparison[where]["primary"]
    if not part or not part["gain"]:
        return []
    gain = part.get("over_generic")
    if not gain:
        return ["Generic augmentation was not trained (retrain.generic): whether it would do as well was not judged."]
    if gain["bound"] is not None and gain["bound"] > 0:
        return []
    return [
        f"On {where} the remedy was not shown to be better than generic augmentation of the same budget: "
        f"{points(gain['mean'])}, at least {points(gain['bound'])}."
    ]


def _limits(comparison: dict[str, Any], other: str | None) -> list[str]:
    """What this verdict does not show, in sentences."""
    limits = []
    if comparison["counts"]["seeds"] == 1:
        limits.append("One seed: another run of the same training might differ; seeds were not judged.")
    for row in comparison["power"]:
        if row["enough"] is False:
            limits.append(
                f"{row['test'].capitalize()} on {row['split']}: {row['groups']:,} groups are at hand; "
                f"about {row['groups_needed']:,} would decide it."
            )
    limits += _against_generic(comparison)
    if comparison.get("costs"):
        limits.append("Errors are weighed by evaluate.costs: gains and margins are in points of the worst error.")
    if other:
        limits.append(f"The candidate was compared with its own control, not with the champion of run {other}.")
    return limits


def _headline(comparison: dict[str, Any], found: list[dict[str, Any]], promoted: bool) -> str:
    if comparison["outcome"] != "tested":
        return NOTHING[comparison["outcome"]]
    gain = comparison["test"]["primary"]["gain"]
    told = f"{points(gain['mean'])} over the control on the sealed test's photos of the slices with a remedy"
    unjudged = "; seeds were not judged (one seed)" if not gain["seeds_judged"] else ""
    if promoted:
        return f"promoted: {told}, at least {points(gain['bound'])}{unjudged}"
    failed = [f"“{c['name']}”" for c in found if not c["passed"]]
    word = "this condition" if len(failed) == 1 else "these conditions"
    return f"not promoted: {told}, but {word} failed: {', '.join(failed)}{unjudged}"


def _policy(policy: dict[str, Any], comparison: dict[str, Any], arm: str) -> dict[str, Any]:
    """What goes with the model in force: its own decline rule, and the corrections that help it on val."""
    judged = comparison["corrections"]["val"]
    helped = {row["slice"] for row in judged if row["arm"] == arm and row["helps"]}
    corrections = [item for item in policy["corrections"] if item["slice"] in helped]
    return {**policy, "decline": comparison["decline"][arm], "corrections": corrections}


def _known(explanations: pd.DataFrame) -> list[dict[str, Any]]:
    """The confirmed slices in words and with their frozen rules, so that they are known again where photos arrive."""
    words = dict(zip(explanations["slice"], explanations["words"], strict=True))
    rules = frozen_rules(explanations)
    return [{"slice": name, "words": str(words[name]), "rule": rule.dump()} for name, rule in rules.items()]


def _reference(
    given: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame], declined: pd.Series, explanations: pd.DataFrame, seed: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What is kept of the photos that the model learnt from (train) and was judged on (val); none of the sealed test.

    given: images, attributes, splits; declined: whether the model in force declines, by image_id of val."""
    images, attributes, splits = given
    table, basis = reference.frame_of(images, attributes, frozen_rules(explanations))
    rows = splits["split"].isin(["train", "val"]).to_numpy()
    said = declined.reindex(images["image_id"]).astype(np.float64).reset_index(drop=True)
    return reference.describe(table[rows].reset_index(drop=True), basis, said[rows].reset_index(drop=True), seed)


def _declined(
    confidence: NDArray[np.float32], flips: pd.DataFrame, rule: dict[str, Any], attributes: pd.DataFrame
) -> pd.Series:
    """Whether the model in force declines, by image_id of val: its answers as they were compared, uncorrected."""
    position = pd.Series(np.arange(len(attributes)), index=attributes["image_id"])
    light = light_of(attributes, position[flips["image_id"]].to_numpy())
    return pd.Series((~sure_enough(rule, confidence, light)).astype(np.float64), index=flips["image_id"])


def _bundle(
    context: Context, model: Path, candidates: Path, sent: dict[str, Any], comparison: dict[str, Any], promoted: bool
) -> Path:
    """The model now in force: the first seed's targeted candidate, or the model before. sent: what goes with it."""
    meta = read_json(model / "model.json")
    source, arm, seed = model / "model.safetensors", "before", None
    if promoted:
        chosen = next(r for r in read_json(candidates / "candidates.json") if r["arm"] == "targeted")
        source, arm, seed = candidates / chosen["file"], "targeted", chosen["seed"]
        meta = {**meta, "temperature": chosen.get("temperature") or meta.get("temperature")}
    folder = context.scratch / "bundle"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copyfile(source, folder / "model.safetensors")
    write_json(folder / "model.json", meta)  # so that a later run can take the champion as its model
    write_json(
        folder / "bundle.json",
        {
            **meta,
            **sent,
            "arm": arm,
            "seed": seed,
            "run_id": context.run_id,
            "policy": _policy(sent["policy"], comparison, arm),
        },
    )
    return folder


def _point(context: Context, promoted: bool) -> tuple[str, str | None]:
    """Move the pointer where the candidate is promoted, or nothing is in force yet; else leave it.

    Returns what is in force now (candidate | baseline | kept) and the run of another champion found there."""
    with champion.moving(context.home) as known:
        other = str(known["run_id"]) if known and known["run_id"] != context.run_id else None
        if not promoted and known and (other or known.get("champion") == "baseline"):
            return ("kept" if other else str(known.get("champion", "baseline"))), other
        kind = "candidate" if promoted else "baseline"
        champion.point(context.home, known, context.run_id, kind, "promoted" if promoted else "the first model")
    return kind, other


def run(
    config: Config,
    context: Context,
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
    answers: NDArray[np.float32],
) -> Made:
    """Promote the targeted model where every condition holds; safe to repeat."""
    found = conditions(comparison)
    promoted = comparison["outcome"] == "tested" and all(c["passed"] for c in found)
    rule = comparison["decline"]["targeted" if promoted else "before"]
    declined = _declined(np.asarray(answers)[:, int(promoted)].max(axis=1), flips, rule, attributes)
    table, about = _reference((images, attributes, splits), declined, explanations, context.seed)
    sent = {"policy": policy, "slices": _known(explanations), "reference": about}
    bundle = _bundle(context, Path(model), Path(candidates), sent, comparison, promoted)
    table.to_parquet(bundle / reference.FILE, index=False)
    kind, other = _point(context, promoted)
    verdict = {
        "promoted": promoted,
        "headline": _headline(comparison, found, promoted),
        "conditions": found,
        "limits": _limits(comparison, other),
        "champion": kind,
        "seeds_judged": comparison["counts"]["seeds"] > 1,
        "opening": comparison["opening"]["number"],
    }
    return {"verdict": verdict, "bundle": bundle}
