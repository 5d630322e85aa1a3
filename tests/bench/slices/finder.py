"""The finder on the benchmark's arrays, through the very functions of the stages cluster and explain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from pipeline import remedies
from pipeline.attributes import measure
from pipeline.contracts import Context
from pipeline.evidence.permutation import excess_error
from pipeline.learning.holdout import folds_of
from pipeline.learning.predict import features
from pipeline.slicing.admission import frozen_rules, near_photos
from pipeline.slicing.confirm import Probe, judge
from pipeline.slicing.crossing import Knobs, Material, proposed
from pipeline.slicing.match import find_causes
from pipeline.slicing.name import Rival
from pipeline.slicing.pool import good_photos
from pipeline.slicing.repair import Tools
from pipeline.slicing.rules import Rule
from pipeline.slicing.validation import Val
from pipeline.stages import cluster, explain
from tests.bench.slices.settings import Case

FOLDS = 5
Rows = NDArray[np.intp]
MATCHED = 120  # photos that a cause is matched on
CONTEXT = Context("bench", 0, Path(), Path())
RICH = 2  # times as many planted photos as by chance, from which a slice may be that of the cause
HELD = (3, 4)  # folds on which the scores of every method are judged
INTERVENTIONS = pd.DataFrame(remedies.interventions(), columns=["remedy", "dose"])
DOSES = INTERVENTIONS.assign(accuracy=0.0, low=0.0, high=0.0, repairs=0.0, breaks=0.0)


def frame_of(case: Case) -> pd.DataFrame:
    """image_id, label, group, the attributes, and an hour and a camera that have nothing to do with anything."""
    clean, rng = case.clean, np.random.default_rng(5)
    labels, groups = clean.photos.labels[clean.val], clean.photos.groups[clean.val]
    names, code = np.unique(groups, return_inverse=True)
    hour = rng.uniform(0, 24, len(names))[code]
    camera = np.array(["north", "east", "south", "west"])[rng.integers(0, 4, len(names))[code]]
    table = pd.DataFrame({"image_id": [f"i{k:05d}" for k in range(len(labels))], "label": labels, "group": groups})
    return pd.concat([table, case.answers.attributes, pd.DataFrame({"hour": hour, "camera": camera})], axis=1)


def val_of(case: Case, donor: Rows | None = None) -> Val:
    """The benchmark's val; donor: the photo [val] whose outcomes each photo is given (a null draw), else its own."""
    clean, frame = case.clean, frame_of(case)
    rows = np.arange(len(frame))
    donor = rows if donor is None else donor
    truth = pd.Index(clean.photos.names).get_indexer(pd.Index(frame["label"])).astype(np.intp)
    logits = case.answers.logits[donor]
    guess = logits.argmax(1)
    fold = folds_of(truth, frame["group"].to_numpy(dtype=str), FOLDS, 0).astype(np.intp)
    at = np.flatnonzero(clean.sample[donor])
    others = logits.copy()
    others[rows, truth] = -np.inf
    margin = (logits[rows, truth] - others.max(1))[at].astype(float)
    after = _probed(case, donor[at]).argmax(2) == truth[at, None]
    code = pd.factorize(frame["group"])[0]
    probe = Probe((guess == truth)[at], after, margin, code[at], np.ones(len(at)))
    return Val(frame, rows, fold, truth, guess, probe, at, np.ones(len(at), bool), tuple(clean.photos.names))


def _probed(case: Case, rows: Rows) -> NDArray[np.float32]:
    """Logits [rows, interventions, C] after each intervention, of sampled rows of val."""
    return case.answers.probed[(np.cumsum(case.clean.sample) - 1)[rows]].astype(np.float32)


def material_of(case: Case, val: Val, donor: Rows | None = None) -> Material:
    """val with frozen features and signatures."""
    donor = val.rows if donor is None else donor
    order, truth = np.arange(len(val.probed)), val.truth[val.probed]
    before = log_softmax(case.answers.logits[donor[val.probed]], axis=1)[order, truth]
    after = log_softmax(_probed(case, donor[val.probed]), axis=2)[order, :, truth]
    shares = softmax(case.answers.logits[donor].astype(float), axis=1)
    return Material.of(val, case.answers.features, (after - before[:, None]).astype(np.float32), shares)


def held_out_scores(case: Case, seed: int = 0) -> NDArray[np.float64]:
    """float [val, slices] in the order of rank, -inf outside: proposed on the folds not in `HELD`."""
    val = val_of(case)
    found = proposed(material_of(case, val), ~np.isin(val.fold, HELD), Knobs(), seed)
    scores = [f.score for f in found]
    return np.stack(scores, 1) if scores else np.full((len(val.frame), 1), -np.inf)


@dataclass(frozen=True)
class Verdict:
    """What the whole finder says of a case. table: explanations, best first, with `overlap` (Jaccard of the slice's
    held-out members with the planted photos); inside: of each its held-out members, bool [val]; most: the row of the
    slice that is asked for its cause, of the confirmed ones that hold `RICH` times as many planted photos as all of val
    does that with the largest overlap, of any where there is none; rivals: its possible causes, none where they were
    not asked for."""

    table: pd.DataFrame
    inside: list[NDArray[np.bool_]]
    most: int
    rivals: list[Rival]

    @property
    def confirmed(self) -> pd.DataFrame:
        """The confirmed slices."""
        return self.table[self.table["status"] == "confirmed"]


def verdict(
    case: Case, donor: Rows | None = None, *, name: bool = True, aside: NDArray[np.bool_] | None = None
) -> Verdict:
    """Slices, tests and words.

    name: give the slice `most` its cause, by asking the model about treated copies (the slow part). aside: photos [val]
    whose labels are suspected, which the finder does not see."""
    whole = val_of(case, donor)
    seen = np.ones(len(whole.frame), bool) if aside is None else ~aside
    val, known = _part(whole, seen), material_of(case, whole, donor)
    shares = None if known.shares is None else known.shares[seen]
    material = Material.of(val, case.answers.features, known.signatures[whole.probed], shares)
    made = cluster.find(cluster.Config.model_validate({}), CONTEXT, material, DOSES)
    found = explain._found(val, made["slices"], made["membership"], DOSES)
    config = explain.Config.model_validate({"photos": MATCHED})
    judged = judge([explain._test(val, item, 0) for item in found], config.level)
    inside = [_everywhere(item.inside, val.rows, len(seen)) for item in found]
    overlap = [float((m & case.planted).sum() / max((m | case.planted).sum(), 1)) for m in inside]
    confirmed = [item.inside for item, told in zip(found, judged, strict=True) if told.status == "confirmed"]
    outside = ~np.logical_or.reduce([np.zeros(len(val.frame), bool), *confirmed])
    rich = [case.planted[m].mean() >= RICH * case.planted.mean() if m.any() else False for m in inside]
    shown = [o + (r and t.status == "confirmed") for o, r, t in zip(overlap, rich, judged, strict=True)]
    most, rows, rivals = int(np.argmax(shown)) if shown else -1, [], list[Rival]()
    for k, (item, told) in enumerate(zip(found, judged, strict=True)):
        causes: tuple[list[Rival], tuple[float, float] | None] = ([], None)
        if name and k == most and told.status == "confirmed":
            pool = good_photos(val, outside, item.typical, tools_of(case), config.photos, 0)
            causes = find_causes(pool, item.inside, item.typical, DOSES, config.photos, config.level)
            rivals = causes[0]
        rows.append(explain._explanation(val, item, told, *causes, DOSES))
    table = pd.DataFrame(rows, columns=list(explain.COLUMNS)).astype(explain.COLUMNS)
    return Verdict(table.assign(overlap=overlap), inside, most, rivals)


def tools_of(case: Case) -> Tools:
    """What the finder asks about the case's photos."""
    ask = case.clean.ask
    measured: Any = lambda pixels: measure(pixels).to_numpy(dtype=float)  # noqa: E731
    return Tools(case.pixels, remedies.treat, measured, lambda pixels: ask(pixels).argmax(1), embed=features)


def _everywhere(inside: NDArray[np.bool_], rows: Rows, count: int) -> NDArray[np.bool_]:
    """bool [val] of a mask over the rows that the finder saw."""
    whole = np.zeros(count, bool)
    whole[rows[inside]] = True
    return whole


def _part(val: Val, rows: NDArray[np.bool_]) -> Val:
    """val of the photos `rows` (bool [rows of val]) alone."""
    place, probed = np.cumsum(rows) - 1, rows[val.probed]
    kept = val.kept.copy()
    kept[np.flatnonzero(kept)] = probed
    frame = val.frame[rows].reset_index(drop=True)
    arrays = (val.rows[rows], val.fold[rows], val.truth[rows], val.guess[rows])
    return Val(frame, *arrays, val.probe.part(probed), place[val.probed[probed]], kept, val.names)


def real_in(case: Case) -> dict[str, Any]:
    """Of the slices confirmed on the folds not in `HELD`: the excess of each frozen rule on the photos of those in it,
    which entered nothing before, with the ends of its 95 % interval by group, photos and groups."""
    whole = val_of(case)
    material, held = material_of(case, whole), np.isin(whole.fold, HELD)
    val = _part(whole, ~held)
    shares = None if material.shares is None else material.shares[~held]
    used = Material.of(val, case.answers.features, material.signatures[whole.probed], shares)
    made = cluster.find(cluster.Config.model_validate({}), CONTEXT, used, DOSES)
    idle = Tools(case.pixels, lambda _, pixels, *__: pixels, lambda pixels: np.zeros((len(pixels), 1)), None)
    tables = (made["slices"], made["membership"], DOSES)
    told = explain.explained(explain.Config.model_validate({}), CONTEXT, val, idle, tables)["explanations"]
    found = [_excess(case, whole, rule, held) for rule in frozen_rules(told).values()]
    return {"confirmed": len(found), "excess": found}


def _excess(case: Case, val: Val, rule: Rule, held: NDArray[np.bool_]) -> dict[str, Any]:
    inside = rule.mask(val.frame, near_photos(val.frame, [rule], case.answers.features))
    test = excess_error(val.errors[held], val.truth[held], inside[held], val.groups[held])
    return {"rule": rule.words(), **test.interval.record()}
