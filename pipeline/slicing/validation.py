"""The photos of val on which slices are found and tested: labelled, and not suspected of a wrong label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.evidence.costs import worth
from pipeline.slicing.confirm import Probe
from pipeline.slicing.rules import Mask


@dataclass(frozen=True)
class Val:
    """All arrays have the rows of `frame` (see `conditions_frame`), but for those of the probed photos.

    rows: row in `images`; truth, guess: class indices; probe: of the probed photos; probed: row of each of
    them; kept: bool [rows of the artifact `probed`], whether that photo is in here.
    """

    frame: pd.DataFrame
    rows: NDArray[np.intp]
    fold: NDArray[np.intp]
    truth: NDArray[np.intp]
    guess: NDArray[np.intp]
    probe: Probe
    probed: NDArray[np.intp]
    kept: Mask
    names: tuple[str, ...]  # of the classes
    costs: list[list[float]] | None = None  # of each error, where they differ

    @property
    def errors(self) -> Mask:
        """bool [rows]: the predicted class is not the label."""
        return np.asarray(self.truth != self.guess)

    @property
    def losses(self) -> NDArray[np.float64]:
        """float64 [rows]: the cost of each answer, as a share of the worst error; of all alike, whether it is wrong."""
        return 1.0 - worth(self.truth, self.guess, self.costs)

    @property
    def groups(self) -> NDArray[np.str_]:
        """The group of each row."""
        return self.frame["group"].to_numpy(dtype=str)


def validation(
    frame: pd.DataFrame,
    splits: pd.DataFrame,
    names: list[str],
    predictions: pd.DataFrame,
    label_issues: pd.DataFrame,
    probed: pd.DataFrame,
    responses: NDArray[np.int16],
    costs: list[list[float]] | None = None,
) -> Val:
    """Lay predictions and probe results over the rows of val; frame and splits have the rows of `images`; costs: as in
    `metrics`."""
    index = pd.Series(np.arange(len(names)), index=names)
    position = pd.Series(np.arange(len(frame)), index=frame["image_id"])
    shown = predictions[~predictions["image_id"].isin(set(label_issues["image_id"]))]
    rows = position[shown["image_id"]].to_numpy()
    part = frame.iloc[rows].reset_index(drop=True)
    row_of = pd.Series(np.arange(len(part)), index=part["image_id"])
    kept = probed["image_id"].isin(row_of.index).to_numpy()
    where = row_of[probed["image_id"][kept]].to_numpy()
    truth, guess = index[shown["label"]].to_numpy(), index[shown["predicted"]].to_numpy()
    probe = Probe(
        (truth == guess)[where],
        np.asarray(responses)[kept] == truth[where, None],
        shown["margin"].to_numpy(dtype=float)[where],
        pd.factorize(part["group"])[0][where],
        probed["weight"].to_numpy(dtype=float)[kept],
    )
    return Val(part, rows, splits["fold"].to_numpy()[rows], truth, guess, probe, where, kept, tuple(names), costs)


def shares(predictions: pd.DataFrame, label_issues: pd.DataFrame) -> NDArray[np.float64]:
    """The model's probabilities float64 [rows of `validation`, classes], without temperature."""
    shown = predictions[~predictions["image_id"].isin(set(label_issues["image_id"]))]
    return np.asarray(softmax(shown.filter(regex=r"^logit_\d+$").to_numpy(dtype=float), axis=1))


def saved(val: Val, responses: NDArray[np.int16]) -> NDArray[np.float64]:
    """Cost saved by each intervention: where all errors cost alike, correct after less correct before."""
    truth, after = val.truth[val.probed], np.asarray(responses)[val.kept]
    said = worth(np.repeat(truth[:, None], after.shape[1], axis=1), after, val.costs)
    return np.asarray(said - worth(truth, val.guess[val.probed], val.costs)[:, None], dtype=np.float64)


def weight(val: Val, item: Any, membership: pd.DataFrame) -> float:
    """Photos of a slice, by what its errors cost on average: where all cost alike, the number of its photos."""
    inside = val.frame["image_id"].isin(membership.loc[membership["slice"] == item.slice, "image_id"]).to_numpy()
    wrong = inside & val.errors
    return float(item.n * (val.losses[wrong].mean() if wrong.any() else 1.0))


def answered(predictions: pd.DataFrame, names: list[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Class indices of labels and answers."""
    index = pd.Index(names)
    said = [index.get_indexer(pd.Index(predictions[c])).astype(np.intp) for c in ("label", "predicted")]
    return said[0], said[1]
