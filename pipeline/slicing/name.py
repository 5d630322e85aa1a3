"""Which cause a slice is given, and the sentence that says so. A cause is named only by intervention."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd

from pipeline.slicing.rules import Condition, Mask, Rule, period

ALIKE = 0.65  # held-out AUC up to which two sets of photos cannot be told apart
MOST, HARDLY = 0.5, 0.1  # share of the failures for which a cause accounts, photo by photo, from which most of them
# are its own, and below which hardly any are
REPRODUCES = 0.05  # least loss of accuracy, in good photos, of a treatment that reproduces a failure
BEYOND = 4  # doses tried past a plug-in's own
MOSTLY = 2 / 3  # share of a slice's failures that one pair of classes makes up, from which it is told
CAMERA = "camera"  # the column that says where a photo was taken
TIE = 0.03  # copies whose distances from the slice differ by less do not decide between two rivals
TOLD = 0.1  # nor do those that a classifier tells from it no worse than this


@dataclass(frozen=True)
class Rival:
    """One possible cause of a slice: a treatment of good photos that makes them resemble it.

    dose: the best-matched one; apart: mean Cliff's delta of treated good photos against the slice; auc: held-out
    two-sample AUC of the same; reproduces: share of good photos that the treatment breaks; repairs, p_repairs:
    effect of the inverse on the slice's held-out photos (None where no inverse exists); confusions: share of the
    broken photos' (label, prediction) pairs that the slice's own failures show, as a part of what they show of each
    other's (`match.errs_alike`); share, ahead: of the slice's failures for which it accounts, photo by photo, and by
    how much more than any other (`attribution`; None where a cause is named without); pair: of how many with another.
    """

    remedy: str
    words: str
    dose: float
    apart: float
    invertible: bool
    auc: float = 1.0
    reproduces: float = 0.0
    confusions: float = 0.0
    repairs: float | None = None
    p_repairs: float | None = None
    share: float | None = None
    ahead: float | None = None
    pair: float = 0.0
    equivalent: bool = False
    named: bool = False
    undone: bool = False  # and its inverse was shown to repair the slice
    suspected: bool = False  # by looks alone: there was no model to ask

    def passes(self, level: float) -> bool:
        """Design rule 4: reproduces, and its inverse repairs; where that cannot be judged it errs alike, and its copies
        are alike: as a whole, where it has no inverse, or to most of the failures, photo by photo, alone or with one
        that it cannot be told from. The last holds too where an inverse repairs what is too little, or in too few
        groups, to be shown; not where it repairs nothing."""
        if self.reproduces < REPRODUCES:
            return False
        if self.proved(level):
            return True
        judged = self.p_repairs is not None
        alike = not self.invertible and self.auc <= ALIKE
        accounts = (self.accounts or self.halves) and not (judged and (self.repairs or 0.0) <= 0)
        return self.confusions >= 0.5 and (alike or accounts)

    @property
    def accounts(self) -> bool:
        """Whether most of the slice's failures are its own, photo by photo, and those of no other as surely."""
        return (self.share or 0.0) >= MOST and (self.ahead or 0.0) > 0

    @property
    def halves(self) -> bool:
        """Whether it does so with another, and it cannot be told which of the two it is."""
        return self.pair >= MOST and (self.share or 0.0) >= HARDLY

    def proved(self, level: float) -> bool:
        """Whether its inverse was shown to repair."""
        return self.invertible and self.p_repairs is not None and self.p_repairs <= level and (self.repairs or 0.0) > 0


def order(rivals: list[Rival], level: float) -> list[Rival]:
    """Rivals that pass first, of them the one that accounts for most of the failures, photo by photo, or the two that
    do: what an inverse repairs does not tell whose they are (much contrast mends a fog). Then by how near their copies
    come to it. Of those that come as near as the nearest, up to `TIE`, the hardest to tell from it come first; of those
    that are as hard, up to `TOLD`, the one whose inverse repairs the most."""
    passing = [r for r in rivals if r.passes(level)]
    nearest = min((r.apart for r in passing), default=0.0)
    hardest = min((r.auc for r in passing if r.apart - nearest <= TIE), default=0.0)

    def key(rival: Rival) -> tuple[bool, bool, bool, bool, float, float, float, str]:
        tied, told = rival.apart - nearest <= TIE, max(rival.auc - hardest - TOLD, 0.0)
        near = (told, -(rival.repairs or 0.0), rival.auc) if tied else (rival.apart, 0.0, 0.0)
        return not rival.passes(level), not rival.accounts, not rival.halves, not tied, *near, rival.remedy

    return sorted(rivals, key=key)


def elect(rivals: list[Rival], equivalent: set[str], level: float) -> list[Rival]:
    """Name the best rival, and with it each one that it does not beat and that is not equivalent to it.

    None where hardly any failure is its own, photo by photo, whatever its inverse repairs.
    rivals: in the order of `order`; equivalent: remedies whose best copies cannot be told from the best one's.
    """
    if not rivals or not rivals[0].passes(level):
        return rivals
    best = rivals[0]
    if best.share is not None and best.share < HARDLY:
        return rivals
    marked = [replace(best, named=True, undone=best.proved(level))]
    for rival in rivals[1:]:
        same = rival.remedy in equivalent or (rival.words == best.words and rival.passes(level))
        near = rival.apart - best.apart <= TIE and rival.auc - best.auc <= TOLD
        outdone = max(best.share or 0.0, best.pair) >= MOST and (rival.share or 0.0) < HARDLY
        either = best.halves and rival.halves  # and nothing says which of the two
        tied = rival.passes(level) and (either or (near and not best.accounts and not outdone))
        marked.append(replace(rival, equivalent=same, named=tied and not same, undone=rival.proved(level)))
    return marked


def hours(values: pd.Series, rest: pd.Series) -> tuple[int, int] | None:
    """(from, to) of the shortest arc of whole hours that holds nine tenths of `values`, where it sets them apart from
    the rest; else None."""
    inside, outside = values.dropna().to_numpy(), rest.dropna().to_numpy()
    if len(inside) < 10 or not len(outside):
        return None
    for length in range(2, 13):
        for start in range(24):
            held = ((inside - start) % 24 < length).mean()
            if held >= 0.9:
                share = ((outside - start) % 24 < length).mean()
                return (start, (start + length) % 24) if share < 0.6 * held else None
    return None


def _setting(failing: pd.DataFrame, outside: pd.DataFrame) -> tuple[list[str], Mask]:
    """When and where the failing photos were taken, where that sets them apart, in words; and bool [failing], of which
    of them all of that holds. The camera is told last, and by no name of its column."""
    when, where, held = list[str](), list[str](), np.ones(len(failing), bool)
    for name in failing.columns[3:]:
        column = failing[name]
        if period(name) == 24:
            if arc := hours(column, outside[name]):
                held &= ((column - arc[0]) % 24 < (arc[1] - arc[0]) % 24).to_numpy(dtype=bool)
                when.append(f"from {arc[0]:02d}:00 to {arc[1]:02d}:00")
        elif not pd.api.types.is_numeric_dtype(column) and column.notna().any():
            counts = column.dropna().astype("str").value_counts(normalize=True)
            top, share = str(counts.index[0]), float(counts.iloc[0])
            elsewhere = float((outside[name].astype("str") == top).mean()) if len(outside) else 0.0
            if share >= 0.8 and elsewhere < 0.7 * share:
                held &= (column.astype("str") == top).to_numpy(dtype=bool)
                where.append(f"{'on' if name == CAMERA else 'with'} {name} {top}")
    return when + sorted(where, key=lambda words: words.startswith("on")), held


def confused(labels: Sequence[str], guesses: Sequence[str]) -> str:
    """`, mostly A read as B`, where one pair of classes makes up `MOSTLY` of the failures; else nothing."""
    pairs = Counter(zip(labels, guesses, strict=True))
    if not pairs:
        return ""
    (label, guess), count = pairs.most_common(1)[0]
    return f", mostly {label} read as {guess}" if count >= MOSTLY * len(labels) else ""


def plain(condition: Condition, words: dict[str, tuple[str, str]]) -> str:
    """A condition in plain words: `dark` for a low luminance; words: low and high, by attribute."""
    if condition.op == "near":
        return "alike in looks"
    if condition.column in words and condition.op in ("<=", ">="):
        return words[condition.column][0 if condition.op == "<=" else 1]
    return condition.words()


def sentence(
    rivals: list[Rival],
    rule: Rule,
    failing: pd.DataFrame,
    outside: pd.DataFrame,
    photos: int,
    words: dict[str, tuple[str, str]],
    ending: str,
) -> str:
    """What the failing photos of a slice share, as a gate manager reads it; the cause comes first.

    failing: rows of `conditions_frame`; outside: those of the photos outside; photos: how many are in the slice;
    ending: what else there is to say of the failures.
    """
    named = [r for r in rivals if r.named]
    causes = list(dict.fromkeys(r.words for r in named))
    plainly = [plain(c, words) for c in rule.conditions if period(c.column) != 24]
    if causes:
        first = " or ".join(causes)
        if named[0].suspected:
            first = f"suspected to be {first}"
        elif not named[0].undone:
            first = f"consistent with {first}"
    else:
        first = " and ".join(dict.fromkeys(plainly)) or "these photos"
        first += ", on which the model leans," if rule.unmarked else " (cause unnamed)"
    of_class = f" in class {rule.label}" if rule.label else ""
    setting, held = _setting(failing, outside)
    count = f"{len(failing):,} of {photos:,} photos are misread"
    if setting:
        count = f"{int(held.sum()):,} of {len(failing):,} failures were taken {' '.join(setting)}"
    text = f"{first}{of_class}: {count}{ending}."
    return text[0].upper() + text[1:]


def dose_grid(doses: tuple[float, ...], neutral: float | None) -> list[list[float]]:
    """Doses to match with, for each side of neutral: the plug-in's own, the points half way between, and `BEYOND`
    further ones, since what befalls photos need not stop where the probe does."""
    if neutral is None:
        return [[d] for d in doses]
    sides = []
    for side in (sorted(d for d in doses if d < neutral), sorted((d for d in doses if d > neutral), reverse=True)):
        if side:
            anchors = [*side, neutral]
            halves = [float(np.mean(pair)) for pair in pairwise(anchors)]
            sides.append(sorted({*side, *halves, *_beyond(side[0], neutral)}, key=lambda d: abs(d - neutral)))
    return sides


def _beyond(last: float, neutral: float) -> list[float]:
    """Powers where doses multiply (neutral 1), halves on the way down to 0, else half as far again each time."""
    if neutral == 1:
        return [float(last ** (1.5**k)) for k in range(1, BEYOND + 1)]
    if 0 < last < neutral:
        return [float(last / 2**k) for k in range(1, BEYOND + 1)]
    return [float(neutral + (last - neutral) * 1.5**k) for k in range(1, BEYOND + 1)]
