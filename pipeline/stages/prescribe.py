"""Which training images get which remedy at which doses, what is corrected or declined at prediction time, what to
collect or relabel. No pixels yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline import plugins, remedies
from pipeline.config import Settings
from pipeline.contracts import Context, Made
from pipeline.evidence.intervals import cluster_mean, finite
from pipeline.slicing.rules import Rule, conditions_frame, distances, named_rows
from pipeline.slicing.validation import Val, validation


class Config(Settings):
    """Settings of the prescription."""

    share: float = Field(0.5, gt=0, le=1, description="share of a training image's views that get a remedy, all told")
    relabels: float = Field(0.5, gt=0, le=1, description="share of a class from which a transform changes its label")
    target_error: float = Field(
        0.02, gt=0, lt=1, description="error allowed among answered photos; others are declined"
    )


_PLAN = {
    "image_id": "str",
    "slice": "str",
    "remedy": "str",
    "dose_low": "float64",
    "dose_high": "float64",
    "probability": "float64",
}


def label_changes(
    val: Val, responses: NDArray[np.int16], interventions: pd.DataFrame, names: list[str], least: float
) -> list[dict[str, Any]]:
    """Transforms that turn photos of one class into another: [{remedy, dose, from, to, share, n, groups}].

    A relabelling is told from a mere failure by its inverse: where a transform sends most correct photos of class
    a to class b, its inverse sends most of b to a (a mirrored "keep left" is "keep right", and back again).
    """
    right = val.probe.correct
    truth, groups = val.truth[val.probed][right], val.probe.groups[right]
    after = np.asarray(responses)[val.kept][right]
    count = np.bincount(truth, minlength=len(names))
    column_of = {(r.remedy, round(r.dose, 6)): i for i, r in enumerate(named_rows(interventions))}

    def share(column: int) -> NDArray[np.float64]:
        sent = np.zeros((len(names), len(names)))
        np.add.at(sent, (truth, after[:, column]), 1)
        return sent / np.maximum(count, 1)[:, None]

    found = []
    for i, item in enumerate(named_rows(interventions)):
        plugin = plugins.module("remedies", item.remedy)
        inverse = plugin.inverse(item.dose) if plugin.CHANGES_LABEL else None
        back = column_of.get((item.remedy, round(inverse, 6))) if inverse is not None else None
        if back is None:
            continue
        there = share(i)
        for a, b in np.argwhere(np.minimum(there, share(back).T) >= least):
            n_groups = len(np.unique(groups[truth == a]))
            if a != b and n_groups >= 2:
                found.append(
                    {
                        "remedy": item.remedy,
                        "dose": float(item.dose),
                        "from": names[a],
                        "to": names[b],
                        "share": round(float(there[a, b]), 4),
                        "n": int(count[a]),
                        "groups": n_groups,
                    }
                )
    return found


def _rules(slices: pd.DataFrame, name: str) -> list[Rule]:
    return [Rule.parse(text) for text in slices.loc[slices["slice"] == name, "rule"]]


Near = dict[str, NDArray[np.float32]]
Members = dict[str, NDArray[np.bool_]]


def admitted(frame: pd.DataFrame, rules: list[Rule], near: Near) -> NDArray[np.bool_]:
    """bool [rows]: most of a slice's fold rules admit the image, by their image part."""
    votes = np.sum([rule.image_mask(frame, near) for rule in rules], axis=0)
    return np.asarray(2 * votes > len(rules))


def _near(frame: pd.DataFrame, slices: pd.DataFrame, embeddings: NDArray[np.float32]) -> Near:
    """Distances of every image to each photo that a rule names (NaN, so outside, for the sealed test)."""
    named = {c.column for text in slices["rule"] for c in Rule.parse(text).conditions if c.op == "near"}
    rows = np.flatnonzero(frame["image_id"].isin(named))
    vectors = np.asarray(embeddings)
    return {str(frame["image_id"].iloc[row]): distances(vectors, int(row)) for row in rows}


def _plan_of(
    item: Any,
    frame: pd.DataFrame,
    train: NDArray[np.bool_],
    already: NDArray[np.bool_],
    refused: list[dict[str, Any]],
    probability: float,
) -> pd.DataFrame:
    # every class alike, whatever the label part: a remedy for one class only would teach that dark means this class
    banned = {r["from"] for r in refused if r["remedy"] == item.cause and item.dose_low <= r["dose"] <= item.dose_high}
    chosen = train & ~already & ~frame["label"].isin(banned).to_numpy()
    return pd.DataFrame(
        {
            "image_id": frame.loc[chosen, "image_id"],
            "slice": item.slice,
            "remedy": remedies.rendering(item.cause, item.dose_low, item.dose_high),
            "dose_low": item.dose_low,
            "dose_high": item.dose_high,
            "probability": probability,
        }
    )


def _correction(
    val: Val, item: Any, inside: NDArray[np.bool_], interventions: pd.DataFrame, rule: Rule
) -> dict[str, Any]:
    """The dose that, given to every photo of the slice before the model looks, gains most on val."""
    rows = inside[val.probed]
    change, groups, weights = val.probe.change[rows], val.probe.groups[rows], val.probe.weights[rows]
    columns = interventions.index[interventions["remedy"] == item.cause]
    best = max(columns, key=lambda c: float(np.average(change[:, c], weights=weights)))
    gain = cluster_mean(change[:, best], groups, weights=weights, bounds=(-1.0, 1.0))
    dose = float(interventions["dose"].iloc[best])
    return {
        "slice": item.slice,
        "when": rule.words(),
        "rule": rule.dump(),
        "remedy": item.cause,
        "dose": dose,
        "words": remedies.describe(item.cause, dose),
        "gain": gain.record(),
        "helps": bool(gain.low > 0),
        "chosen_on": "val",
    }


def decline_rule(correct: NDArray[np.bool_], confidence: NDArray[np.float64], target: float) -> dict[str, Any]:
    """The lowest confidence above which the error among answered photos stays within `target`, with its coverage.

    Source: Geifman and El-Yaniv 2017 (selective classification), without their bound: the rule is chosen on val.
    """
    order = np.argsort(-confidence, kind="stable")
    error = np.cumsum(~correct[order]) / np.arange(1, len(order) + 1)
    met = np.flatnonzero(error <= target)
    answered = int(met[-1]) + 1 if len(met) else 0
    return {
        "attribute": "confidence",
        "threshold": finite(float(confidence[order[answered - 1]]) if answered else None),
        "target_error": target,
        "error": finite(float(error[answered - 1]) if answered else None),
        "coverage": answered / max(len(order), 1),
        "n": len(order),
        "chosen_on": "val",
    }


def _prescription(item: Any, plan: pd.DataFrame, correction: dict[str, Any] | None) -> dict[str, Any]:
    planned = len(plan)
    if planned:
        doses = " to ".join(dict.fromkeys(f"{dose:.3g}" for dose in (item.dose_low, item.dose_high)))
        title = str(plan["remedy"].iloc[0]).replace("_", " ")
        action, kind = f"train on {planned:,} training photos treated with {title} at dose {doses}", "augment"
    else:
        action, kind = "collect more photos like these: no transform was shown to be the cause", "collect"
    also = f"; or correct them as they arrive: {correction['words']}" if correction and correction["helps"] else ""
    return {"slice": item.slice, "kind": kind, "words": item.words, "action": action + also, "photos": planned}


def _exports(
    folder: Path,
    images: pd.DataFrame,
    splits: pd.DataFrame,
    confirmed: pd.DataFrame,
    members: Members,
    membership: pd.DataFrame,
    label_issues: pd.DataFrame,
) -> Path:
    folder.mkdir(exist_ok=True)
    path_of = images.set_index("image_id")["path"]
    train, val = (splits["split"] == "train").to_numpy(), (splits["split"] == "val").to_numpy()
    rows = []
    for item in named_rows(confirmed):
        inside = members[str(item.slice)]
        wanted = round(float(inside[val].mean()) * int(train.sum())) if val.any() else 0
        typical = membership[membership["slice"] == item.slice].nlargest(5, "score")["image_id"]
        rows.append(
            {
                "slice": item.slice,
                "words": item.words,
                "rule": item.rule,
                "have": int(inside[train].sum()),
                "wanted": max(wanted, int(inside[train].sum())),
                "examples": "; ".join(path_of[typical]),
            }
        )
    columns = ["slice", "words", "rule", "have", "wanted", "examples"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "collect.csv", index=False)
    relabel = label_issues.assign(path=path_of[label_issues["image_id"]].to_numpy())
    relabel[["path", "label", "suggested", "confidence", "kind", "split"]].to_csv(folder / "relabel.csv", index=False)
    return folder


def run(
    config: Config,
    context: Context,
    *,
    images: pd.DataFrame,
    pixels: NDArray[np.uint8],
    attributes: pd.DataFrame,
    splits: pd.DataFrame,
    classes: dict[str, list[str]],
    predictions: pd.DataFrame,
    embeddings: NDArray[np.float32],
    label_issues: pd.DataFrame,
    probed: pd.DataFrame,
    responses: NDArray[np.int16],
    dose_response: pd.DataFrame,
    slices: pd.DataFrame,
    membership: pd.DataFrame,
    explanations: pd.DataFrame,
    causes: pd.DataFrame,
) -> Made:
    """Turn each confirmed slice into what to do about it."""
    frame = conditions_frame(images, attributes)
    val = validation(frame, splits, classes["names"], predictions, label_issues, probed, responses)
    refused = label_changes(val, responses, dose_response, classes["names"], config.relabels)
    for remedy in sorted({r["remedy"] for r in refused}):
        pairs = sorted({f"{r['from']} to {r['to']}" for r in refused if r["remedy"] == remedy})
        context.note(f"{remedy} changes labels and is refused for: {', '.join(pairs)}")
    confirmed = explanations[explanations["status"] == "confirmed"]
    named = confirmed[confirmed["cause"].notna()]
    plans, corrections, prescriptions = [], [], []
    train, near = (splits["split"] == "train").to_numpy(), _near(frame, slices, embeddings)
    members = {str(name): admitted(frame, _rules(slices, str(name)), near) for name in confirmed["slice"]}
    for item in named_rows(confirmed):
        plan, correction = pd.DataFrame(), None
        if item.slice in set(named["slice"]):
            rules = _rules(slices, item.slice)
            # in proportion to the photos concerned: a small slice inside a large one must not take half of its share
            share = config.share * item.n / max(int(named["n"].sum()), 1)
            plan = _plan_of(item, frame, train, members[item.slice], refused, share)
            plans.append(plan)
            inside = (
                val.frame["image_id"].isin(membership.loc[membership["slice"] == item.slice, "image_id"]).to_numpy()
            )
            if inside[val.probed].any():
                correction = _correction(val, item, inside, dose_response, rules[0])
                corrections.append(correction)
        prescriptions.append(_prescription(item, plan, correction))
    policy = {
        "corrections": corrections,
        "refused": refused,
        "prescriptions": prescriptions,
        "decline": decline_rule(
            predictions["correct"].to_numpy(dtype=bool),
            predictions["confidence"].to_numpy(dtype=float),
            config.target_error,
        ),
    }
    exports = _exports(context.scratch / "exports", images, splits, confirmed, members, membership, label_issues)
    plan = pd.concat(plans) if plans else pd.DataFrame(columns=list(_PLAN))
    return {"plan": plan.reset_index(drop=True).astype(_PLAN), "policy": policy, "exports": exports}
