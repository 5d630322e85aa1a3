"""One split, several models: their scores, and the paired gain of the targeted arm over the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.costs import worth
from pipeline.evidence.intervals import cluster_mean
from pipeline.evidence.paired import Gain, Margins, NonInferiority, mcnemar, non_inferiority, paired_gain
from pipeline.evidence.scores import scores

Mask = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]
ARMS = ("before", "control", "targeted", "generic")


@dataclass(frozen=True)
class Judged:
    """A model of one arm and seed (None for the model before) with its logits [n, classes]."""

    arm: str
    seed: int | None
    logits: Floats
    temperature: float = 1.0


@dataclass(frozen=True)
class Trial:
    """Class indices and groups [n] of one split and what each model said; the first seed of an arm is primary.

    costs: of each error (see `evidence.costs`), None where all cost alike. Gains and margins weigh errors by them;
    accuracies do not.
    """

    truth: NDArray[np.intp]
    groups: NDArray[Any]
    names: list[str]
    models: list[Judged]
    slices: Mapping[str, Mask] = field(default_factory=dict)
    costs: list[list[float]] | None = None

    @property
    def everyone(self) -> Mask:
        """bool [n], all true."""
        return np.ones(len(self.truth), dtype=np.bool_)

    def of(self, arm: str) -> list[Judged]:
        """The models of an arm, first seed first."""
        return [m for m in self.models if m.arm == arm]

    def correct(self, arm: str) -> Mask:
        """bool [seeds, n]: an arm's answers that are right."""
        return np.array([m.logits.argmax(1) == self.truth for m in self.of(arm)], dtype=np.bool_).reshape(
            -1, len(self.truth)
        )

    def worth(self, arm: str) -> Floats:
        """float64 [seeds, n]: what an arm's answers are worth, 1 where right."""
        said = [worth(self.truth, m.logits.argmax(1), self.costs) for m in self.of(arm)]
        return np.array(said, dtype=np.float64).reshape(-1, len(self.truth))

    @property
    def compared(self) -> bool:
        """Whether there is a targeted and a control arm."""
        return bool(self.of("targeted") and self.of("control"))

    def gain(self, inside: Mask, alpha: float, seeds: int | None = None, over: str = "control") -> Gain:
        """Targeted less another arm on the images inside, over all seeds or the first few."""
        treated, other = self.worth("targeted")[:seeds, inside], self.worth(over)[:seeds, inside]
        return paired_gain(treated, other, self.groups[inside], alpha)

    def worse(self, alpha: float, margins: Margins) -> NonInferiority:
        """Whether targeted is not worse than control, overall and by class."""
        labels = np.array(self.names)[self.truth]
        return non_inferiority(self.worth("targeted"), self.worth("control"), labels, self.groups, alpha, margins)

    def mcnemar(self, inside: Mask) -> dict[str, Any]:
        """McNemar's test of the first seeds, control against targeted; shown, and decides nothing."""
        result = mcnemar(self.correct("control")[0, inside], self.correct("targeted")[0, inside])
        return {"fixed": result.fixed, "broken": result.broken, "p": result.p, "decides": False}

    def arms(self) -> dict[str, list[dict[str, Any]]]:
        """The scores of each model, by arm, first seed first."""
        return {
            arm: [
                {"seed": m.seed, **scores(m.logits, self.truth, self.groups, self.names, m.temperature)}
                for m in self.of(arm)
            ]
            for arm in ARMS
            if self.of(arm)
        }

    def part(self, inside: Mask, alpha: float) -> dict[str, Any]:
        """Accuracy of the first seeds on the images inside and, where arms are compared, the gain there.

        gain: over control and all seeds; first_seed: of the first alone; passed: both lower bounds lie above zero;
        over_generic: the gain over the generic arm, None where there is none."""
        record: dict[str, Any] = {"n": int(inside.sum()), "groups": len(np.unique(self.groups[inside]))}
        for arm in ARMS:
            accuracy = cluster_mean(self.correct(arm)[0, inside], self.groups[inside]) if self.of(arm) else None
            record[arm] = accuracy.record() if accuracy else None
        if not self.compared:
            nothing = dict.fromkeys(("gain", "first_seed", "over_generic", "mcnemar", "groups_needed"))
            return {**record, **nothing, "passed": False}
        gain, first = self.gain(inside, alpha), self.gain(inside, alpha, seeds=1)
        return {
            **record,
            "gain": gain.record(),
            "first_seed": first.record(),
            "over_generic": self.gain(inside, alpha, over="generic").record() if self.of("generic") else None,
            "mcnemar": self.mcnemar(inside),
            "passed": bool(gain.bound > 0 and first.bound > 0),
            "groups_needed": gain.needed(0.0, alpha),
        }

    def record(self, alpha: float, margins: Margins) -> dict[str, Any]:
        """The whole comparison on this split as finite JSON, slice by slice."""
        worse = self.worse(alpha, margins) if self.compared else None
        return {
            "n": len(self.truth),
            "groups": len(np.unique(self.groups)),
            "alpha": alpha,
            "arms": self.arms(),
            "overall": self.part(self.everyone, alpha),
            "slices": [{"slice": name, **self.part(mask, alpha)} for name, mask in self.slices.items()],
            "non_inferiority": worse.record() if worse else None,
            "overall_needed": worse.overall.needed(-margins.overall, alpha) if worse else None,
        }
