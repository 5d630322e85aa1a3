"""Before, control and targeted side by side on val; then the sealed test, opened once for all arms and seeds.

What `comparison` holds, besides the keys of the graph page:
outcome: no failures | no slice | no plan | no candidates | refused on val | used up | tested; counts of each step.
val, test: n, groups, alpha, arms {before, control, targeted: [scores by seed]}, non_inferiority; for overall, slices,
primary (the planned slices together), outside (everybody else): each arm's accuracy with its interval, gain with bound
and `within_noise`, first_seed, mcnemar, groups_needed. primary: the endpoint declared before the opening. power.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.config import Settings
from pipeline.contracts import Context, Made
from pipeline.evidence.flips import answers_of, flips_of, worth_seeing
from pipeline.evidence.ledger import open_test, sealed
from pipeline.evidence.paired import Margins
from pipeline.evidence.power import power_row
from pipeline.evidence.trial import Judged, Mask, Trial
from pipeline.slicing.rules import Rule, conditions_frame, distances
from pipeline.store import digest, key_of, read_json

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


@dataclass(frozen=True)
class Inputs:
    """The stage's artifacts and what follows from them."""

    images: pd.DataFrame
    pixels: NDArray[np.uint8]
    names: list[str]
    splits: pd.DataFrame
    attributes: pd.DataFrame
    model: Path
    predictions: pd.DataFrame
    slices: pd.DataFrame
    membership: pd.DataFrame
    explanations: pd.DataFrame
    plan: pd.DataFrame
    candidates: Path

    @cached_property
    def confirmed(self) -> list[str]:
        """Names of the confirmed slices, by rank."""
        found = self.explanations[self.explanations["status"] == "confirmed"].sort_values("rank")
        return [str(name) for name in found["slice"]]

    @cached_property
    def planned(self) -> list[str]:
        """Confirmed slices for which training images get a remedy."""
        inside = set(self.plan["slice"])
        return [name for name in self.confirmed if name in inside]

    @cached_property
    def val(self) -> NDArray[np.intp]:
        """Rows of val in the order of the predictions."""
        position = pd.Series(np.arange(len(self.images)), index=self.images["image_id"])
        return position.loc[self.predictions["image_id"]].to_numpy(dtype=np.intp)

    @cached_property
    def test(self) -> NDArray[np.intp]:
        """Rows of the labelled photos of test."""
        return np.flatnonzero((self.splits["split"] == "test").to_numpy() & self.images["label"].notna().to_numpy())

    @cached_property
    def runs(self) -> list[dict[str, Any]]:
        """The candidates of seeds that both arms have, in the order in which they were trained."""
        runs = [dict(r) for r in read_json(self.candidates / "candidates.json")]
        seeds = [{r["seed"] for r in runs if r["arm"] == arm} for arm in ("control", "targeted")]
        return [r for r in runs if r["seed"] in seeds[0] & seeds[1] and r["arm"] in ("control", "targeted")]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """What the slices' rules may ask about, rows as in images."""
        return conditions_frame(self.images, self.attributes)

    def rules(self, name: str) -> list[Rule]:
        """The rules of a slice, one for each fold."""
        return [Rule.parse(text) for text in self.slices.loc[self.slices["slice"] == name, "rule"]]

    def trial(self, rows: NDArray[np.intp], models: list[Judged], slices: Mapping[str, Mask] = {}) -> Trial:
        """These rows as one comparison."""
        index = {name: k for k, name in enumerate(self.names)}
        truth = np.array([index[label] for label in self.images["label"].iloc[rows]], dtype=np.intp)
        return Trial(truth, self.images["group"].iloc[rows].astype(str).to_numpy(), self.names, models, slices)


def _logits(weights: Path, inputs: Inputs, rows: NDArray[np.intp], context: Context) -> tuple[Any, float]:
    """Logits float32 [rows, classes] of a model, and the temperature of the one before."""
    from pipeline.learning.backbone import load_model
    from pipeline.learning.predict import logits

    model, meta = load_model(inputs.model, str(weights.resolve()))  # the arms share its model.json
    starts = context.track(range(0, len(rows), CHUNK), total=-(-len(rows) // CHUNK), what=f"parts by {weights.stem}")
    parts = [logits(model, inputs.pixels[rows[start : start + CHUNK]], meta) for start in starts]
    return np.concatenate(parts), float(meta.get("temperature") or 1.0)


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
    return {inputs.images["image_id"].iloc[row]: distances(vectors, k)[len(named) :] for k, row in enumerate(named)}


def _rule_masks(inputs: Inputs, rows: NDArray[np.intp], opened: bool) -> dict[str, Mask]:
    """Which rows most of a slice's fold rules admit, by their image part. Before the opening only rules that need no
    pixel of the test can be applied; the others are left out."""
    frame = inputs.frame.iloc[rows].reset_index(drop=True)
    rules = {name: inputs.rules(name) for name in inputs.confirmed}
    named = {name: {c.column for r in rules[name] for c in r.conditions if c.op == "near"} for name in rules}
    near = _near(inputs, rows, set().union(*named.values())) if opened else {}
    usable = [name for name in rules if opened or not named[name]]
    votes = {name: np.sum([rule.image_mask(frame, near) for rule in rules[name]], axis=0) for name in usable}
    return {name: np.asarray(vote * 2 > len(rules[name])) for name, vote in votes.items()}


def _fingerprint(config: Config, inputs: Inputs) -> str:
    """What is judged and by which margins: another endpoint or a wider margin is another opening."""
    files = [inputs.candidates / r["file"] for r in inputs.runs] + [inputs.model / WEIGHTS]
    return key_of([digest(f) for f in files if f.exists()], vars(config.margins), inputs.planned)


def _test(config: Config, context: Context, inputs: Inputs, alpha: float) -> dict[str, Any]:
    """Everything about the test, in aggregates; called only after the opening is on disk."""
    logits, temperature = _logits(inputs.model / WEIGHTS, inputs, inputs.test, context)
    before = Judged("before", None, logits, temperature)
    masks = _rule_masks(inputs, inputs.test, opened=True)
    trial = inputs.trial(inputs.test, [before, *_candidates_on(inputs, inputs.test, context)], masks)
    return _record(config, inputs, trial, alpha)


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


def _comparison(config: Config, context: Context, inputs: Inputs, trial: Trial) -> dict[str, Any]:
    val, test, primary = _val(config, inputs, trial), None, {"endpoint": PRIMARY, "slices": inputs.planned}
    outcome, reason = _outcome(inputs, trial, val)
    opening = sealed(reason)
    if not outcome:
        groups = inputs.images["group"].iloc[inputs.test].astype(str)
        declared, ledger = f"{PRIMARY}: {', '.join(inputs.planned)}", context.home / LEDGER
        opened = open_test(ledger, context.run_id, groups, _fingerprint(config, inputs), config.alpha, declared)
        opening, outcome = opened.record(), "tested" if opened.opened else "used up"
        test = _test(config, context, inputs, opened.alpha) if opened.opened else None
    context.note(f"test opened, number {opening['number']}" if test else f"test stays sealed: {opening['reason']}")
    counts = {
        "errors": int((~trial.correct("before")).sum()), "slices": len(inputs.explanations),
        "confirmed": len(inputs.confirmed), "planned": len(inputs.planned), "seeds": len(trial.of("targeted")),
    }
    return {
        "outcome": outcome, "reason": opening["reason"], "counts": counts, "alpha": config.alpha,
        "margins": {"overall": config.margin, "by_class": config.class_margin, "many": config.class_groups},
        "val": val, "test": test, "opening": opening, "primary": primary, "power": _power(inputs, val, test),
    }


def _heat(inputs: Inputs, flips: pd.DataFrame, shown: NDArray[np.intp], context: Context) -> NDArray[np.uint8]:
    """Heat maps uint8 [shown, 2, side, side] for what the model said before and after."""
    if not len(shown):
        return np.zeros((0, 2, *inputs.pixels.shape[1:3]), np.uint8)
    from pipeline.learning.saliency import heat_maps

    said = flips[["before", "after"]].iloc[shown].to_numpy()
    targets = np.array([[inputs.names.index(name) for name in row] for row in said], dtype=np.intp)
    before = inputs.model / WEIGHTS
    after = next((inputs.candidates / r["file"] for r in inputs.runs if r["arm"] == "targeted"), before)
    sources = [(inputs.model, before), (inputs.model, after)]
    return heat_maps(sources, np.asarray(inputs.pixels[inputs.val[shown]]), targets, context.track)


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
    slices: pd.DataFrame,
    membership: pd.DataFrame,
    explanations: pd.DataFrame,
    policy: dict[str, Any],
    plan: pd.DataFrame,
    candidates: Path,
) -> Made:
    """Judge the candidates on val and, where val has passed, on the sealed test."""
    tables = (predictions, slices, membership, explanations, plan)
    inputs = Inputs(images, pixels, classes["names"], splits, attributes, Path(model), *tables, Path(candidates))
    models = [_before_on_val(inputs), *_candidates_on(inputs, inputs.val, context)]
    trial = inputs.trial(inputs.val, models, _members(inputs, predictions["image_id"]))
    flips = flips_of(predictions["image_id"], trial)
    shown = worth_seeing(flips, config.saliency)
    flips.loc[shown, "saliency"] = np.arange(len(shown))
    made = {"flips": flips, "answers": answers_of(trial), "saliency": _heat(inputs, flips, shown, context)}
    return {"comparison": _comparison(config, context, inputs, trial), **made}
