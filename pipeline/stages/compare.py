"""Before and the arms side by side on val; then the sealed test, opened once for all arms and seeds.

What `comparison` holds, besides the keys of the graph page:
outcome: no failures | no slice | no plan | no candidates | refused on val | used up | tested; counts of each step.
val, test: n, groups, alpha, arms {before, control, targeted, generic: [scores by seed]}, non_inferiority; for overall,
slices, primary (the planned slices together), outside (everybody else): each arm's accuracy with its interval, gain
over control with bound and `within_noise`, first_seed, over_generic, mcnemar, groups_needed. costs: the errors that
cost less. budget: image passes of each arm. primary: the endpoint declared before the opening. power.
decline: by arm, the rule chosen on val, its coverage and error on test. corrections: by slice and arm, on val and test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.config import Settings
from pipeline.contracts import Context, Made
from pipeline.evidence import costs
from pipeline.evidence.flips import answers_of, flips_of, worth_seeing
from pipeline.evidence.ledger import open_test, sealed
from pipeline.evidence.paired import Margins
from pipeline.evidence.power import power_row
from pipeline.evidence.serving import corrected, declined, refused
from pipeline.evidence.trial import Judged, Mask, Trial
from pipeline.remedies import treat
from pipeline.slicing.admission import admitted_by, frozen_rules, photos_named
from pipeline.slicing.case import Inputs, light_of
from pipeline.slicing.rules import distances
from pipeline.store import digest, key_of, read_json

Change = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
CHUNK = 4096  # photos held in memory at once
LEDGER = "ledger.jsonl"
PRIMARY = "gain of targeted over control on the photos that the planned slices' rules admit"
WEIGHTS = "model.safetensors"


class Config(Settings):
    """Settings of the comparison."""

    alpha: float = Field(0.05, gt=0, lt=0.5, description="level of val's bounds, and all that a test set may spend")
    margin: float = Field(0.01, gt=0, lt=1, description="overall loss, as a share, that is not yet worse")
    class_margin: float = Field(0.03, gt=0, lt=1, description="loss of a class that is not yet worse")
    class_groups: int = Field(20, ge=2, description="groups from which a class is judged by itself")
    saliency: int = Field(60, ge=0, description="most photos with heat maps")

    @property
    def margins(self) -> Margins:
        """What is not yet inferior."""
        return Margins(self.margin, self.class_margin, self.class_groups)


def _logits(
    weights: Path, inputs: Inputs, rows: NDArray[np.intp], context: Context, change: Change = lambda pixels: pixels
) -> tuple[Any, float]:
    """Logits float32 [rows, classes] of a model, and the temperature of the one before."""
    from pipeline.learning.backbone import load_model
    from pipeline.learning.predict import logits

    model, meta = load_model(inputs.model, str(weights.resolve()))  # the arms share its model.json
    starts = context.track(range(0, len(rows), CHUNK), total=-(-len(rows) // CHUNK), what=f"parts by {weights.stem}")
    parts = [logits(model, change(inputs.pixels[rows[start : start + CHUNK]]), meta) for start in starts]
    return np.concatenate(parts), float(meta.get("temperature") or 1.0)


def _corrections(
    inputs: Inputs, policy: dict[str, Any], trial: Trial, context: Context, chosen: list[dict[str, Any]] | None = None
) -> tuple[list[dict[str, Any]], Trial]:
    """What the policy's corrections bring each model that may be in force on val, where their conditions are met, and
    what it then answers; with what val has chosen: on test."""
    rows = inputs.val if chosen is None else inputs.test
    helped = None if chosen is None else {(row["slice"], row["arm"]) for row in chosen if row["helps"]}
    weights = {"before": inputs.model / WEIGHTS} | {
        r["arm"]: inputs.candidates / r["file"] for r in reversed(inputs.runs)
    }
    helpful = [item for item in policy["corrections"] if item["helps"]]

    def ask(arm: str, item: dict[str, Any], inside: Mask) -> NDArray[np.float32]:
        def change(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return treat(item["remedy"], pixels, item["dose"], item["dose"], context.seed)

        return np.asarray(_logits(weights[arm], inputs, rows[inside], context, change)[0])

    arrived = _rule_masks(inputs, rows, opened=True, labelled=False) if helpful else {}
    return corrected(trial, arrived, helpful, ask, helped)


def _candidates_on(inputs: Inputs, rows: NDArray[np.intp], context: Context) -> Iterator[Judged]:
    for r in inputs.runs:
        logits, temperature = _logits(inputs.candidates / r["file"], inputs, rows, context)
        yield Judged(r["arm"], int(r["seed"]), logits, float(r.get("temperature") or temperature))


def _before_on_val(inputs: Inputs) -> Judged:
    temperature = read_json(inputs.model / "model.json").get("temperature", 1.0)
    columns = [f"logit_{k}" for k in range(len(inputs.names))]
    return Judged("before", None, inputs.predictions[columns].to_numpy(dtype=np.float32), float(temperature))


def _members(inputs: Inputs, ids: pd.Series) -> dict[str, Mask]:
    table = inputs.membership
    inside = {name: table.loc[table["slice"] == name, "image_id"] for name in inputs.confirmed}
    return {name: np.asarray(ids.isin(members), dtype=np.bool_) for name, members in inside.items()}


def _near(inputs: Inputs, rows: NDArray[np.intp], names: set[str]) -> dict[str, NDArray[np.float32]]:
    """Distances of the rows to the photos that rules name, in frozen packaged features."""
    from pipeline.learning.predict import features

    if not names:
        return {}
    named = np.flatnonzero(inputs.images["image_id"].isin(names))
    vectors = features(np.asarray(inputs.pixels[np.concatenate([named, rows])]))
    away = distances(vectors, range(len(named)))[:, len(named) :]
    return dict(zip(inputs.images["image_id"].iloc[named], away, strict=True))


def _rule_masks(inputs: Inputs, rows: NDArray[np.intp], *, opened: bool, labelled: bool = True) -> dict[str, Mask]:
    """Which rows each confirmed slice's frozen rule admits; labelled: by its class too, where it has one. Before the
    opening only rules that need no pixel of the test can be applied; the others are left out."""
    rules = frozen_rules(inputs.explanations)
    near = _near(inputs, rows, photos_named(rules.values())) if opened else {}
    usable = {name: rule for name, rule in rules.items() if opened or not photos_named([rule])}
    return admitted_by(inputs.frame.iloc[rows].reset_index(drop=True), usable, near, labelled=labelled)


def _fingerprint(config: Config, inputs: Inputs) -> str:
    """What is judged and by which margins: another endpoint or a wider margin is another opening."""
    files = [inputs.candidates / r["file"] for r in inputs.runs] + [inputs.model / WEIGHTS]
    weighed = [inputs.costs] if inputs.costs else []
    return key_of([digest(f) for f in files if f.exists()], vars(config.margins), inputs.planned, *weighed)


def _test(context: Context, inputs: Inputs) -> Trial:
    """The test as one comparison; called only after the opening is on disk."""
    logits, temperature = _logits(inputs.model / WEIGHTS, inputs, inputs.test, context)
    before = Judged("before", None, logits, temperature)
    masks = _rule_masks(inputs, inputs.test, opened=True)
    return inputs.trial(inputs.test, [before, *_candidates_on(inputs, inputs.test, context)], masks)


def _serving(
    context: Context, inputs: Inputs, policy: dict[str, Any], val: Trial, test: Trial | None
) -> tuple[dict[str, Any], dict[str, Mask]]:
    """Whom each model that may be in force answers, and what correcting photos brings it: chosen on val, shown on
    test. And by arm whether it declines, bool [val]."""
    chosen, served = _corrections(inputs, policy, val, context)
    there, test_served = _corrections(inputs, policy, test, context, chosen) if test else (None, None)
    light = (light_of(inputs.attributes, inputs.val), light_of(inputs.attributes, inputs.test))
    rules = declined(served, test_served, policy["decline"]["target_error"], light)
    return {"decline": rules, "corrections": {"val": chosen, "test": there}}, refused(served, rules, light[0])


def _record(config: Config, inputs: Inputs, trial: Trial, alpha: float) -> dict[str, Any]:
    """A split's comparison; primary: all planned slices together; outside: everybody else; None without a plan."""
    record = trial.record(alpha, config.margins)
    words = dict(zip(inputs.explanations["slice"], inputs.explanations["words"], strict=True))
    for row in record["slices"]:
        row["words"], row["planned"] = str(words[row["slice"]]), row["slice"] in inputs.planned
    if not inputs.planned:
        return {**record, "primary": None, "outside": None}
    planned = np.logical_or.reduce([trial.slices[name] for name in inputs.planned])
    return {**record, "primary": trial.part(planned, alpha), "outside": trial.part(~planned, alpha)}


def _val(config: Config, inputs: Inputs, trial: Trial) -> dict[str, Any]:
    """The comparison on val, and whether it earned a look at the test."""
    record = _record(config, inputs, trial, config.alpha)
    gained = [row["slice"] for row in record["slices"] if row["planned"] and row["passed"]]
    worse = record["non_inferiority"]
    return {**record, "gained": gained, "passed": bool(gained and worse and worse["passed"])}


def _power(inputs: Inputs, val: dict[str, Any], test: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Groups at hand and groups that would do, for each test; on the sealed test foreseen from val's gains."""
    rows = [power_row("overall not worse", "val", val["overall"], val["overall_needed"])]
    rows += [power_row(f"gain of {s['slice']}", "val", s, s["groups_needed"]) for s in val["slices"]]
    if test:
        rows.append(power_row("overall not worse", "test", test["overall"], test["overall_needed"]))
        rows.append(power_row("gain of the planned slices", "test", test["primary"], test["primary"]["groups_needed"]))
        return rows + [power_row(f"gain of {s['slice']}", "test", s, s["groups_needed"]) for s in test["slices"]]
    groups, needed = inputs.images["group"].iloc[inputs.test], {s["slice"]: s["groups_needed"] for s in val["slices"]}
    for name, mask in _rule_masks(inputs, inputs.test, opened=False).items():
        ahead = {"n": int(mask.sum()), "groups": groups[mask].nunique(), "gain": None}
        rows.append(power_row(f"gain of {name}", "test", ahead, needed[name]))
    return rows


def _outcome(inputs: Inputs, trial: Trial, val: dict[str, Any]) -> tuple[str, str]:
    """How far this run came before the test, and why no further; "" where val has passed."""
    if not inputs.confirmed:
        if trial.correct("before").all():
            return "no failures", "the model makes no mistake on val"
        return "no slice", "no slice was confirmed"
    if not inputs.planned:
        return "no plan", "no confirmed slice has a remedy for training photos"
    if not trial.compared:
        return "no candidates", "there is no targeted and control model to compare"
    if not len(inputs.test):
        return "no test", "there is no labelled photo in test"
    if not val["passed"]:
        shown = "targeted may be worse than control" if val["gained"] else "no planned slice gained over the control"
        return "refused on val", f"val has not passed: {shown}"
    return "", ""


def _comparison(
    config: Config, context: Context, inputs: Inputs, policy: dict[str, Any], trial: Trial
) -> tuple[dict[str, Any], dict[str, Mask]]:
    """The record, and by arm whether it declines, bool [val]."""
    val, primary = _val(config, inputs, trial), {"endpoint": PRIMARY, "slices": inputs.planned}
    test, sealed_trial = None, None
    outcome, reason = _outcome(inputs, trial, val)
    opening = sealed(reason)
    if not outcome:
        groups = inputs.images["group"].iloc[inputs.test].astype(str)
        declared, ledger = f"{PRIMARY}: {', '.join(inputs.planned)}", context.home / LEDGER
        opened = open_test(ledger, context.run_id, groups, _fingerprint(config, inputs), config.alpha, declared)
        opening, outcome = opened.record(), "tested" if opened.opened else "used up"
        sealed_trial = _test(context, inputs) if opened.opened else None
        test = _record(config, inputs, sealed_trial, opened.alpha) if sealed_trial else None
    context.note(f"test opened, number {opening['number']}" if test else f"test stays sealed: {opening['reason']}")
    counts = {
        "errors": int((~trial.correct("before")).sum()), "slices": len(inputs.explanations),
        "confirmed": len(inputs.confirmed), "planned": len(inputs.planned), "seeds": len(trial.of("targeted")),
    }
    serving, declines = _serving(context, inputs, policy, trial, sealed_trial)
    record = {
        "outcome": outcome, "reason": opening["reason"], "counts": counts, "alpha": config.alpha,
        "margins": {"overall": config.margin, "by_class": config.class_margin, "many": config.class_groups},
        "costs": costs.told(inputs.costs, inputs.names), "budget": inputs.budget,
        "val": val, "test": test, "opening": opening, "primary": primary, "power": _power(inputs, val, test),
        **serving,
    }
    return record, declines


def _heat(inputs: Inputs, flips: pd.DataFrame, shown: NDArray[np.intp], context: Context) -> NDArray[np.uint8]:
    """Heat maps uint8 [shown, 2, side, side] for what the model said before and after; none where it has no map."""
    nothing = np.zeros((0, 2, *inputs.pixels.shape[1:3]), np.uint8)
    if not len(shown):
        return nothing
    from pipeline.learning.saliency import NoMap, heat_maps

    said = flips[["before", "after"]].iloc[shown].to_numpy()
    targets = np.array([[inputs.names.index(name) for name in row] for row in said], dtype=np.intp)
    before = inputs.model / WEIGHTS
    after = next((inputs.candidates / r["file"] for r in inputs.runs if r["arm"] == "targeted"), before)
    sources = [(inputs.model, before), (inputs.model, after)]
    try:
        return heat_maps(sources, np.asarray(inputs.pixels[inputs.val[shown]]), targets, context.track)
    except NoMap as error:
        context.note(f"no heat maps: {error}")
        return nothing


def run(
    config: Config,
    context: Context,
    *,
    images: pd.DataFrame,
    pixels: NDArray[np.uint8],
    classes: dict[str, list[str]],
    splits: pd.DataFrame,
    attributes: pd.DataFrame,
    model: Path,
    predictions: pd.DataFrame,
    metrics: dict[str, Any],
    marks: pd.DataFrame,
    membership: pd.DataFrame,
    explanations: pd.DataFrame,
    policy: dict[str, Any],
    plan: pd.DataFrame,
    candidates: Path,
) -> Made:
    """Judge the candidates on val and, where val has passed, on the sealed test."""
    tables = (predictions, membership, explanations, plan)
    given = (images, pixels, classes["names"], splits, attributes, marks, Path(model), *tables, Path(candidates))
    inputs = Inputs(*given, metrics.get("costs"))
    models = [_before_on_val(inputs), *_candidates_on(inputs, inputs.val, context)]
    trial = inputs.trial(inputs.val, models, _members(inputs, predictions["image_id"]))
    flips = flips_of(predictions["image_id"], trial)
    shown = worth_seeing(flips, config.saliency)
    heat = _heat(inputs, flips, shown, context)
    flips.loc[shown[: len(heat)], "saliency"] = np.arange(len(heat))
    comparison, declines = _comparison(config, context, inputs, policy, trial)
    flips["declined_before"] = declines["before"]
    flips["declined_after"] = declines["targeted" if trial.compared else "before"]
    return {"comparison": comparison, "flips": flips, "answers": answers_of(trial), "saliency": heat}
