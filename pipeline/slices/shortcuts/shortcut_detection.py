"""The detection of shortcuts: marks that a model relies on more than on the object.

A caption, a logo or a border is proposed on all folds of the validation set but one, by pixels
only: outside the center, constant over most images of a class, and different elsewhere. It is
tested on the remaining fold by two interventions on whole groups. Covering the mark must change
predictions of the class more often than covering the object. The object is the quarter of the image
outside the mark whose covering changes most predictions on the other folds. And pasting the mark
into images of other classes must produce the class more often than pasting the same pixels of
another such image. Both must hold (intersection-union test, Berger 1982).

A mark is covered by the same pixels of an image of another class. A plain patch pulls predictions
to a class itself: with it a model that never saw a border seemed to rely on one. Marks that vary
between images or cover the center are not proposed. Pixels cannot distinguish a mark from an object
that looks the same, at the same place outside the center, on most images of its class.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import permutation_test

from pipeline.domain.statuses import SliceStatus
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.slices.shortcuts.mark_masks import assign_cells
from pipeline.slices.shortcuts.shortcut_images import ShortcutImages
from pipeline.slices.shortcuts.shortcut_trials import (
    CELL_PREFIX,
    FoldResult,
    PredictFunction,
    limit_trials,
    propose_trial,
    run_class_trials,
)
from pipeline.statistics.group_intervals import sum_by_group
from pipeline.statistics.multiple_testing import adjust_benjamini_hochberg

SHORTCUT_COLUMNS = {
    "label": "str",
    "status": "str",  # confirmed | not confirmed | not testable
    "n": "int64",  # images of the class that were covered
    "groups": "int64",
    "others": "int64",  # images of other classes that a mark was pasted into
    "area": "float64",  # share of the image
    "covered": "float64",  # share of the class predicted as another class with the mark covered
    "object": "float64",  # the same with the object covered
    "pasted": "float64",  # share of the others predicted as the class with the mark pasted in
    "placebo": "float64",  # the same with these pixels of another such image pasted in
    "p_value": "float64",
    "q_value": "float64",  # Benjamini-Hochberg over the rows
    "grid": "str",  # JSON: share predicted as another class with each cell covered, by row
    "mark": "str",  # JSON: share of each cell that the mark takes, by row
}


def detect_shortcuts(
    images: ShortcutImages,
    class_names: list[str],
    predict_labels: PredictFunction,
    *,
    grid_size: int,
    max_images: int,
    max_predictions: int,
    seed: int,
) -> pd.DataFrame:
    """Return one row with the columns `SHORTCUT_COLUMNS` for each class with a proposed mark.

    Args:
        images: labeled validation images.
        class_names: names of the classes.
        predict_labels: pixels uint8 [n, side, side, 3] to class indices [n]; not called if no mark
            is proposed.
        grid_size: cells on each side of the image.
        max_images: largest number of images of a class, and of others, on a fold.
        max_predictions: largest number of altered images; fewer images are used to keep it.
        seed: seed of samples, donors and tests.
    """
    trials = []
    for label in range(len(class_names)):
        for fold in np.unique(images.folds).tolist():
            rng = np.random.default_rng([seed, label, fold])
            trial = propose_trial(images, label, fold, max_images, rng)
            if trial is not None:
                trials.append(trial)
    trials = limit_trials(trials, grid_size, max_predictions)
    rows = []
    for label, name in enumerate(class_names):
        class_trials = [trial for trial in trials if trial.class_index == label]
        if class_trials:
            results = run_class_trials(images, class_trials, predict_labels, grid_size, seed)
            rows.append(_summarize_class(name, results, grid_size, seed))
    return _add_status(pd.DataFrame(rows, columns=list(SHORTCUT_COLUMNS)))


def _add_status(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with q-values and the status of each class."""
    constants = CONSTANTS.shortcuts
    q_values = adjust_benjamini_hochberg(table["p_value"].to_numpy(float))
    cover_effect = table["covered"] - table["object"]
    paste_effect = table["pasted"] - table["placebo"]
    is_confirmed = (
        (q_values <= constants.fdr_level)
        & (cover_effect >= constants.min_share_effect)
        & (paste_effect >= constants.min_share_effect)
    )
    tested = np.where(is_confirmed, SliceStatus.CONFIRMED, SliceStatus.NOT_CONFIRMED)
    status = np.where(table["p_value"].isna(), SliceStatus.NOT_TESTABLE, tested)
    return table.assign(q_value=q_values, status=status).astype(SHORTCUT_COLUMNS)


def list_untestable_classes(images: ShortcutImages, class_names: list[str]) -> list[str]:
    """Return the classes with too few groups to propose a mark on any fold."""
    table = pd.DataFrame({"label": images.labels, "fold": images.folds, "group": images.groups})
    counts = table.drop_duplicates().groupby(["label", "fold"]).size().unstack(fill_value=0)
    largest = counts.sum(axis=1) - counts.min(axis=1)
    is_untestable = largest < CONSTANTS.shortcuts.min_groups
    return [class_names[label] for label in largest.index[is_untestable]]


def _summarize_class(
    label: str, results: list[FoldResult], grid_size: int, seed: int
) -> dict[str, Any]:
    """Return the row of one class from the results of its folds."""
    own = pd.concat([result.class_outcomes for result in results])
    other = pd.concat([result.other_outcomes for result in results])
    means = own.drop(columns="group").mean()
    cell_count = grid_size * grid_size
    changed_shares = [float(means[f"{CELL_PREFIX}{cell}"]) for cell in range(cell_count)]
    mark = np.mean([result.mark for result in results], axis=0)
    cells = assign_cells(len(mark), grid_size).ravel()
    mark_shares = np.bincount(cells, mark.ravel()) / np.bincount(cells)
    return {
        "label": label,
        "n": len(own),
        "groups": int(own["group"].nunique()),
        "others": len(other),
        "area": float(mark.mean()),
        "covered": float(means["covered"]),
        "object": float(means["object"]),
        "pasted": float(other["pasted"].mean()),
        "placebo": float(other["placebo"].mean()),
        "p_value": _test_mark(own, other, seed),
        "grid": _dump_shares(changed_shares),
        "mark": _dump_shares(mark_shares.tolist()),
    }


def _dump_shares(shares: list[float]) -> str:
    return json.dumps([round(share, 4) for share in shares])


def _test_mark(own: pd.DataFrame, other: pd.DataFrame, seed: int) -> float:
    """Return the larger p-value of covering and pasting; NaN with too few groups on a side."""
    if min(own["group"].nunique(), other["group"].nunique()) < CONSTANTS.shortcuts.min_groups:
        return float("nan")
    cover_effect = own["covered"].to_numpy(float) - own["object"].to_numpy(float)
    paste_effect = other["pasted"].to_numpy(float) - other["placebo"].to_numpy(float)
    return max(
        _compute_sign_flip_p(cover_effect, own["group"].to_numpy(str), seed),
        _compute_sign_flip_p(paste_effect, other["group"].to_numpy(str), seed),
    )


def _compute_sign_flip_p(
    effects: NDArray[np.float64], groups: NDArray[np.str_], seed: int
) -> float:
    """Return the one-sided p-value of a mean above 0, by sign flips of whole groups."""
    result = permutation_test(
        (sum_by_group(effects, groups),),
        np.mean,
        permutation_type="samples",
        n_resamples=CONSTANTS.shortcuts.permutation_draws,
        alternative="greater",
        rng=seed,
    )
    return float(result.pvalue)
