"""Which photos of a slice stand for the failures that it has in excess, on whom its cause is looked for.

A rule admits photos that its cause never befell, and of its failing photos some would fail wherever they are. Failing
photos therefore count one each, and those that would have failed anyway are taken away again: for each photo of the
rule that the model reads rightly as many as its class has elsewhere for each such photo, with that one's look. What is
left is a mixture less its known part (Blanchard et al. 2010, Semi-supervised novelty detection, section 2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.slicing.rules import Mask
from pipeline.slicing.validation import Val

Floats = NDArray[np.float64]
CHANCE = 2.0  # standard errors of a Poisson count
LEAST = 10  # failures in excess, below which every photo of the slice stands for it


def surplus(val: Val, members: Mask, outside: Mask) -> Floats:
    """float64 [rows], summing to 1: what each photo counts; 0 outside `members`, below 0 for what is taken away.

    members: the slice, bool [rows]; outside: the photos in no slice, from which the failures that a class has anyway
    are told. A class that fails no more in the slice than outside, but for chance, has no part in it. Where less than
    `LEAST` failures are in excess, every member counts alike.
    """
    weights, errors = np.zeros(len(members)), val.errors
    for label in np.unique(val.truth[members]):
        of = val.truth == label
        elsewhere = of & outside & ~members
        rate = float(errors[elsewhere].mean()) if elsewhere.any() else 0.0
        failing, right = of & members & errors, of & members & ~errors
        # failures anyway for each photo that is read rightly; of a class that always fails nothing is in excess
        beside = rate / (1 - rate) if rate < 1 else 0.0
        anyway = beside * float(right.sum())
        if rate < 1 and failing.sum() - anyway > CHANCE * max(anyway, 1.0) ** 0.5:
            weights[failing], weights[right] = 1.0, -beside
    total = float(weights.sum())
    return weights / total if total >= LEAST else members / max(int(members.sum()), 1)
