"""Crossing over: rules proposed on all folds but one, applied to that one, and matched across folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from pipeline.contracts import Track, silent
from pipeline.slicing.confirm import choose_intervention, matched_residuals
from pipeline.slicing.propose import Evidence, Proposal, propose
from pipeline.slicing.rules import Mask, distances
from pipeline.slicing.typical import coordinates, typicality
from pipeline.slicing.validation import Val

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Knobs:
    """The finder's settings, see `pipeline.stages.cluster.Config`."""

    slices: int = 8
    clusters: int = 6
    prototypes: int = 6
    least: int = 20
    same: float = 0.5


@dataclass(frozen=True)
class Material:
    """val, frozen features [rows, D] and signatures [rows, interventions] (NaN: not probed)."""

    val: Val
    embeddings: NDArray[np.float32]
    signatures: NDArray[np.float32]

    @classmethod
    def of(cls, val: Val, embeddings: NDArray[np.float32], signatures: NDArray[np.float32]) -> Material:
        """From the artifacts: embeddings [images, D], signatures [probed, interventions]."""
        wide = np.full((len(val.frame), signatures.shape[1]), np.nan, np.float32)
        wide[val.probed] = signatures[val.kept]
        return cls(val, np.asarray(embeddings[val.rows]), wide)


@dataclass(frozen=True)
class Applied:
    """A proposal laid over all of val. mask: bool [rows]; chosen: the intervention that helps most, or None; score:
    float [rows], higher is more typical, -inf where the rule does not admit the photo."""

    proposal: Proposal
    mask: Mask
    chosen: int | None
    score: Floats


@dataclass
class Slice:
    """Rules of several folds that admit mostly the same photos."""

    label: str | None
    mask: Mask
    folds: dict[int, Applied]

    @property
    def score(self) -> float:
        """Recoverable errors less one standard error, summed over the folds that propose it."""
        return sum(a.proposal.score for a in self.folds.values())


def _prototypes(material: Material, proposing: Mask, count: int, seed: int) -> list[int]:
    """Rows of the failing photos nearest to the centres of k-means on frozen features of the failures."""
    rows = np.flatnonzero(proposing & material.val.errors)
    k = min(count, len(rows) // 10)
    if k < 1:
        return []
    features = material.embeddings[rows]
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)
    centres = KMeans(k, n_init=2, random_state=seed).fit(unit).cluster_centers_
    return sorted({int(rows[np.argmin(((unit - c) ** 2).sum(1))]) for c in centres})


def on_one_fold(material: Material, fold: int, knobs: Knobs, seed: int) -> list[Applied]:
    """Proposals of all folds but `fold`, each with its mask over all of val and its chosen intervention."""
    val = material.val
    proposing = val.fold != fold
    seeds = _prototypes(material, proposing, knobs.prototypes, seed)
    ids = [str(val.frame["image_id"].iloc[row]) for row in seeds]
    near = {name: distances(material.embeddings, row) for name, row in zip(ids, seeds, strict=True)}
    away = np.array([near[name][proposing] for name in ids], np.float32).reshape(len(ids), int(proposing.sum()))
    part = np.flatnonzero(proposing[val.probed])
    repairs, gains = np.zeros((2, len(val.frame), val.probe.after.shape[1]))
    repairs[val.probed[part]] = matched_residuals(val.probe.part(part))
    gains[val.probed] = val.probe.change * val.probe.weights[:, None]
    evidence = Evidence(
        val.frame[proposing].reset_index(drop=True),
        val.errors[proposing],
        material.signatures[proposing],
        repairs[proposing],
        gains[proposing],
        tuple(ids),
        away,
        knobs.least,
        seed,
    )
    space = coordinates(val.frame, material.embeddings, proposing)
    found = []
    for proposal in propose(evidence, slices=knobs.slices, clusters=knobs.clusters):
        mask = proposal.rule.mask(val.frame, near)
        chosen = choose_intervention(val.probe.part(part), mask[val.probed[part]])
        found.append(Applied(proposal, mask, chosen, typicality(space, mask, val.errors, proposing)))
    return found


def match(by_fold: dict[int, list[Applied]], knobs: Knobs) -> list[Slice]:
    """Join rules across folds by the photos they admit, which no outcome of the held-out fold can sway."""
    every = [(fold, found) for fold, rules in by_fold.items() for found in rules]
    slices: list[Slice] = []
    for fold, found in sorted(every, key=lambda pair: -pair[1].proposal.score):
        label, mask = found.proposal.rule.label, found.mask
        overlaps = [
            (mask & s.mask).sum() / max((mask | s.mask).sum(), 1) if s.label == label and fold not in s.folds else 0.0
            for s in slices
        ]
        best = int(np.argmax(overlaps)) if overlaps else -1
        if best >= 0 and overlaps[best] >= knobs.same:
            slices[best].folds[fold] = found
        else:
            slices.append(Slice(label, mask, {fold: found}))
    majority = [s for s in slices if 2 * len(s.folds) > len(by_fold)]
    return sorted(majority, key=lambda s: -s.score)[: knobs.slices]


def tables(val: Val, slices: list[Slice], remedies: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The artifacts `slices` and `membership`; remedies: the rows of `dose_response`."""
    rules, members = [], []
    for rank, found in enumerate(slices, 1):
        name = f"s{rank}"
        for fold, applied in sorted(found.folds.items()):
            remedy = remedies.iloc[applied.chosen] if applied.chosen is not None else None
            rules.append(
                {
                    "slice": name,
                    "rank": rank,
                    "fold": fold,
                    "source": applied.proposal.rule.source,
                    "rule": applied.proposal.rule.dump(),
                    "remedy": None if remedy is None else str(remedy["remedy"]),
                    "dose": np.nan if remedy is None else float(remedy["dose"]),
                    "recoverable": applied.proposal.recoverable,
                }
            )
            rows = np.flatnonzero(applied.mask & (val.fold == fold))
            ids = val.frame["image_id"].iloc[rows].to_list()
            members += [
                {"image_id": i, "slice": name, "fold": fold, "score": float(s)}
                for i, s in zip(ids, applied.score[rows], strict=True)
            ]
    columns = {
        "slice": "str",
        "rank": "int64",
        "fold": "int64",
        "source": "str",
        "rule": "str",
        "remedy": "str",
        "dose": "float64",
        "recoverable": "float64",
    }
    membership = {"image_id": "str", "slice": "str", "fold": "int64", "score": "float64"}
    return (
        pd.DataFrame(rules, columns=list(columns)).astype(columns),
        pd.DataFrame(members, columns=list(membership)).astype(membership),
    )


def crossed(material: Material, knobs: Knobs, seed: int, track: Track = silent) -> list[Slice]:
    """The slices, best first: each a rule of its own for each fold that it was proposed for."""
    folds = sorted(int(f) for f in np.unique(material.val.fold))
    if len(folds) < 2:
        return []
    by_fold = {
        fold: on_one_fold(material, fold, knobs, seed + fold) for fold in track(folds, total=len(folds), what="folds")
    }
    return match(by_fold, knobs)
