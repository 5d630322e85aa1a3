"""Conditions of the promotion gate, and limits of its verdict, from the comparison record.

A condition is a record of an id, the numbers behind it and whether it holds; a limit is a record of
an id and its numbers. `pipeline.report.sentences.gate_sentences`
composes sentences about both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.domain.statuses import ChampionStatus, ComparisonOutcome, GateCondition, VerdictCaveat

Record = Mapping[str, Any]
ARRIVALS_OUTCOMES = {
    ComparisonOutcome.PROMISING_ON_VAL,
    ComparisonOutcome.NO_TEST,
    ComparisonOutcome.USED_UP,
}
"""Outcomes that groups which arrive later may decide: validation passed, the test said nothing."""
_JUDGED_CHAMPIONS = {ChampionStatus.NONE, ChampionStatus.IS_BASELINE, ChampionStatus.COMPARED}


def evaluate_gate(
    comparison: Record,
    *,
    is_unjudged_champion_accepted: bool = False,
    arrivals: Record | None = None,
) -> list[dict[str, Any]]:
    """Return every condition that could be judged, in the order in which they are reported.

    Args:
        comparison: the artifact of that name.
        arrivals: what labeled groups that arrived since show, see `ArrivalVerdict`; None without
            any. They stand in for a test set that cannot decide.
        is_unjudged_champion_accepted: whether a model in force that cannot be compared may be
            replaced.

    Returns:
        Records with condition (`GateCondition`), split, slice, value, threshold, passed and facts,
        the numbers behind it.
    """
    counts = comparison["counts"]
    conditions = [
        _build_condition(
            GateCondition.PLANNED_SLICE,
            value=float(counts["planned"]),
            threshold=1.0,
            is_passed=counts["planned"] > 0,
            facts={key: counts[key] for key in ("slices", "confirmed", "planned")},
        )
    ]
    has_targeted_arm = "targeted" in (comparison["val"].get("arms") or {})
    if counts["planned"] and has_targeted_arm:
        conditions += _judge_champion(comparison["champion"], is_unjudged_champion_accepted)
        conditions += _judge_val(comparison)
        if arrivals and comparison["outcome"] in ARRIVALS_OUTCOMES:
            conditions += _judge_arrivals(arrivals, comparison["margins"])
        else:
            conditions += _judge_test(comparison)
    return conditions


def can_promote(comparison: Record, conditions: list[dict[str, Any]]) -> bool:
    """Return whether the test set, or groups that arrived since, decide and all conditions hold."""
    is_decided = comparison["outcome"] == ComparisonOutcome.TESTED or any(
        condition["condition"] == GateCondition.ARRIVALS_GAIN for condition in conditions
    )
    return is_decided and all(condition["passed"] for condition in conditions)


def list_caveats(comparison: Record) -> list[dict[str, Any]]:
    """Return the caveats of the verdict: what it does not show.

    Args:
        comparison: the artifact of that name.

    Returns:
        Records with limit (`VerdictCaveat`) and its numbers.
    """
    limits: list[dict[str, Any]] = []
    champion = comparison["champion"]
    if champion["status"] not in _JUDGED_CHAMPIONS:
        limits.append({"limit": VerdictCaveat.UNJUDGED_CHAMPION, **champion})
    if comparison["counts"]["seeds"] == 1:
        limits.append({"limit": VerdictCaveat.SINGLE_SEED})
    for row in comparison["power"]:
        if row["enough"] is False:
            limits.append({"limit": VerdictCaveat.TOO_FEW_GROUPS, **row})
    limits += _list_generic_limits(comparison)
    if comparison.get("costs"):
        limits.append({"limit": VerdictCaveat.WEIGHTED_ERRORS})
    return limits


def _build_condition(
    condition: GateCondition,
    *,
    value: float | None,
    threshold: float | None,
    is_passed: bool,
    facts: Record,
    split: str | None = None,
    slice_name: str | None = None,
) -> dict[str, Any]:
    return {
        "condition": condition,
        "split": split,
        "slice": slice_name,
        "value": value,
        "threshold": threshold,
        "passed": is_passed,
        "facts": dict(facts),
    }


def _judge_champion(champion: Record, is_accepted: bool) -> list[dict[str, Any]]:
    """Return whether the model in force was compared; nothing where no other run's is in force."""
    if champion["status"] in (ChampionStatus.NONE, ChampionStatus.IS_BASELINE):
        return []
    is_compared = champion["status"] == ChampionStatus.COMPARED
    return [
        _build_condition(
            GateCondition.CHAMPION_COMPARED,
            value=None,
            threshold=None,
            is_passed=is_compared or is_accepted,
            facts={**champion, "is_accepted": is_accepted},
        )
    ]


def _judge_val(comparison: Record) -> list[dict[str, Any]]:
    """Return the conditions of the screen on validation."""
    val = comparison["val"]
    planned = [item for item in val["slices"] if item["planned"]]
    best = max(
        planned, key=lambda item: (item["slice"] in val["gained"], item["gain"]["bound"] or -1.0)
    )
    is_passed = best["slice"] in val["gained"]
    arm_in_force = _name_arm_in_force(comparison, best["over"])
    facts = _collect_gain_facts(best, "control", arm_in_force)
    gain = _build_condition(
        GateCondition.SLICE_GAIN,
        value=best["gain"]["bound"],
        threshold=0.0,
        is_passed=is_passed,
        split="val",
        slice_name=best["slice"],
        facts=facts | {"groups_needed": None if is_passed else best["groups_needed"]},
    )
    return [gain, *_judge_generic_arm("val", val["primary"]), *_judge_safety("val", comparison)]


def _judge_test(comparison: Record) -> list[dict[str, Any]]:
    opening = comparison["opening"]
    opened = _build_condition(
        GateCondition.TEST_OPENED,
        value=opening["number"],
        threshold=None,
        is_passed=bool(opening["opened"]),
        facts={key: opening[key] for key in ("opened", "reason", "ordinal", "alpha")},
    )
    test = comparison["test"]
    if test is None:
        return [opened]
    primary, arm_in_force = test["primary"], name_arm_in_force(comparison)
    return [
        opened,
        _judge_gain(GateCondition.PLANNED_GAIN, primary, "control", arm_in_force),
        _judge_gain(GateCondition.GAIN_IN_FORCE, primary, arm_in_force, arm_in_force),
        *_judge_generic_arm("test", primary),
        *_judge_safety("test", comparison),
    ]


def _judge_arrivals(arrivals: Record, margins: Record) -> list[dict[str, Any]]:
    """Return the conditions on groups that arrived after the candidate was trained."""
    facts = {key: arrivals[key] for key in ("groups", "inside_groups", "labels", "needed", "gain")}
    conditions = []
    for condition, name in (
        (GateCondition.ARRIVALS_GAIN, "evidence_gain"),
        (GateCondition.ARRIVALS_NOT_WORSE, "evidence_safe"),
    ):
        conditions.append(
            _build_condition(
                condition,
                value=arrivals[name],
                threshold=arrivals["needed"],
                is_passed=arrivals[name] >= arrivals["needed"],
                facts=facts | {"evidence": arrivals[name], "margin": margins["overall"]},
            )
        )
    worst = max(arrivals["parts"], key=lambda part: part["loss_probability"], default=None)
    conditions.append(
        _build_condition(
            GateCondition.ARRIVALS_NO_HARM,
            value=worst["loss_probability"] if worst else None,
            threshold=arrivals["max_loss_probability"],
            is_passed=not arrivals["harmed"],
            facts={"harmed": arrivals["harmed"], "worst": worst, "margin": margins["by_class"]},
        )
    )
    return conditions


def name_arm_in_force(comparison: Record) -> str:
    """Return the arm of the model that the candidate would replace, on the strongest split."""
    primary = (comparison["test"] or comparison["val"]).get("primary") or {}
    return _name_arm_in_force(comparison, primary.get("over") or {})


def _name_arm_in_force(comparison: Record, over: Record) -> str:
    """Return the arm that would be replaced, of those that a gain is known over.

    On validation a champion that was trained on some of its images is not compared.
    """
    is_compared = comparison["champion"]["status"] == ChampionStatus.COMPARED
    return "champion" if is_compared and ("champion" in over or not over) else "before"


def _collect_gain_facts(subset: Record, reference: str, arm_in_force: str) -> dict[str, Any]:
    gain = subset["over"][reference]
    return {
        "reference": reference,
        "mean": gain["mean"],
        "bound": gain["bound"],
        "shipped": gain["shipped"],
        "shipped_in_force": subset["over"][arm_in_force]["shipped"],
        "arm_in_force": arm_in_force,
        "n": subset["n"],
        "groups": subset["groups"],
    }


def _judge_gain(
    condition: GateCondition, subset: Record, reference: str, arm_in_force: str
) -> dict[str, Any]:
    """Return whether the lower bound of a gain on test is above zero.

    The model that would ship must have gained itself, over the model before too.
    """
    gain = subset["over"][reference]
    values = [gain["bound"]]
    if condition == GateCondition.GAIN_IN_FORCE:
        values += [subset["over"][arm]["shipped"] for arm in (reference, "before")]
    is_passed = all(value is not None and value > 0 for value in values)
    facts = _collect_gain_facts(subset, reference, arm_in_force)
    return _build_condition(
        condition,
        value=gain["bound"],
        threshold=0.0,
        is_passed=is_passed,
        split="test",
        facts=facts | {"groups_needed": None if is_passed else subset["groups_needed"]},
    )


def _judge_generic_arm(split: str, subset: Record) -> list[dict[str, Any]]:
    """Return whether generic augmentation was not shown to be better; nothing if not trained."""
    gain = subset.get("over_generic")
    if not gain:
        return []
    return [
        _build_condition(
            GateCondition.GENERIC_NOT_BETTER,
            value=gain["high"],
            threshold=0.0,
            is_passed=not _is_harm_shown(gain),
            split=split,
            facts={key: gain[key] for key in ("mean", "low", "high")} | {"n": subset["n"]},
        )
    ]


def _judge_safety(split: str, comparison: Record) -> list[dict[str, Any]]:
    """Return whether nobody is worse off than with the model in force, before, or the control."""
    safety, margins = comparison[split]["safety"], comparison["margins"]
    outside = {arm: [item["outside"]] for arm, item in safety.items() if item["outside"]}
    classes = {arm: item["classes"] for arm, item in safety.items()}
    slices = {arm: item["slices"] + item["slice_classes"] for arm, item in safety.items()}
    return [
        _judge_overall(split, safety, margins, name_arm_in_force(comparison)),
        _judge_parts(GateCondition.NO_CLASS_WORSE, split, classes, margins),
        _judge_parts(GateCondition.NO_SLICE_WORSE, split, slices, margins),
        _judge_parts(GateCondition.NO_HARM_OUTSIDE, split, outside, margins),
    ]


def _judge_overall(
    split: str, safety: Record, margins: Record, arm_in_force: str
) -> dict[str, Any]:
    """Return whether no arm is left behind by more than the margin over all images.

    No such loss may show. On test it must be excluded against the model in force.
    """
    changes, values = [], []
    for arm, item in safety.items():
        overall = item["overall"]
        changes.append({"reference": arm} | {k: overall[k] for k in ("mean", "bound", "shipped")})
        is_proof = split == "test" and arm == arm_in_force
        values += [overall["shipped"], overall["bound" if is_proof else "mean"]]
    value = None if None in values else min(values)
    return _build_condition(
        GateCondition.OVERALL_NOT_WORSE,
        value=value,
        threshold=-margins["overall"],
        is_passed=value is not None and value > -margins["overall"],
        split=split,
        facts={
            "changes": changes,
            "margin": margins["overall"],
            "proved_against": arm_in_force if split == "test" else None,
        },
    )


def _judge_parts(
    condition: GateCondition,
    split: str,
    parts_by_arm: Mapping[str, list[dict[str, Any]]],
    margins: Record,
) -> dict[str, Any]:
    """Return whether no part probably loses more than the margin, against any arm."""
    parts = []
    for arm, items in parts_by_arm.items():
        parts += [{"reference_arm": arm, **item} for item in items]
    worst = max(parts, key=lambda part: part["loss_probability"], default=None)
    harmed = [part for part in parts if part["status"] == "harmed"]
    return _build_condition(
        condition,
        value=worst["loss_probability"] if worst else None,
        threshold=margins["max_loss_probability"],
        is_passed=not harmed,
        split=split,
        facts={
            "harmed": harmed,
            "worst": worst,
            "parts": len({(part["slice"], part["class"]) for part in parts}),
            "margin": margins["by_class"],
        },
    )


def _is_harm_shown(gain: Record) -> bool:
    return gain["high"] is not None and gain["high"] < 0


def _list_generic_limits(comparison: Record) -> list[dict[str, Any]]:
    """Return what was not shown against generic augmentation, on the strongest evidence."""
    split = "test" if comparison["test"] else "val"
    subset = comparison[split]["primary"]
    if not subset or not subset["gain"]:
        return []
    gain = subset.get("over_generic")
    if not gain:
        return [{"limit": VerdictCaveat.NO_GENERIC_ARM}]
    if gain["bound"] is not None and gain["bound"] > 0:
        return []
    return [
        {
            "limit": VerdictCaveat.GENERIC_NOT_BEATEN,
            "split": split,
            "mean": gain["mean"],
            "bound": gain["bound"],
        }
    ]
