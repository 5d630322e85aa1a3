"""Progress of a whole run: its stage, and one estimate of the remaining time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from pipeline.config import ResolvedConfig

_STAGE_SECONDS = {"evaluate": 47.0, "probe": 112.0, "explain": 47.0, "prescribe": 5.0}
"""Seconds of stages on the demo, two cores; only their proportions count."""
_OTHER_SECONDS = 1.0
_PROBED_IMAGES, _MATCHED_IMAGES = 625, 100
"""Images that `probe` and `explain` read there."""
_EPOCH_SECONDS = 5.5
"""Seconds of one epoch there, in `train` as in an arm of `retrain`."""
_LOOP_SHARE = 0.9
"""Share of what is left of a stage that its next loop takes: most have one long loop."""
MIN_KNOWN_SHARE = 0.02
"""Share of the run from which its pace is known."""


def weigh_stages(config: ResolvedConfig, stage_names: Sequence[str]) -> dict[str, float]:
    """Return how long each stage takes beside the others, by name."""
    weights = {name: _STAGE_SECONDS.get(name, _OTHER_SECONDS) for name in stage_names}
    settings = {name: stage.model_dump() for name, stage in config.stages.items()}
    train, retrain = settings["train"], settings["retrain"]
    if "probe" in weights:
        weights["probe"] *= min(settings["probe"]["max_images"] / _PROBED_IMAGES, 1)
    if "explain" in weights:
        weights["explain"] *= settings["explain"]["matched_images"] / _MATCHED_IMAGES
    if "train" in weights:
        weights["train"] = _EPOCH_SECONDS * train["epochs"]
    if "retrain" in weights:
        arm_count = 2 + int(retrain["generic"])
        trainings = arm_count * retrain["seeds"] * (2 if retrain["real_repeats"] else 1)
        epochs = trainings * retrain["epochs"]
        weights["retrain"] = _EPOCH_SECONDS * epochs
    return weights


class RunProgress:
    """The stages of a run that are done, and the part of the present one.

    Attributes:
        stage: name of the present stage; empty before the first.
        number: its number, from 1.
        count: number of stages.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        """Begin a run.

        Args:
            weights: how long each stage takes beside the others, by name, in order.
        """
        self.stage, self.number, self.count = "", 0, len(weights)
        self._weights = dict(weights)
        self._start = time.monotonic()
        self._done_weight = 0.0
        self._loops: list[list[int]] = []  # count and total of each open loop, the outer one first
        self._closed_loops = 0

    def begin_stage(self, name: str) -> None:
        """Note that a stage begins."""
        self.stage, self._loops, self._closed_loops = name, [], 0
        self.number += 1

    @contextmanager
    def count_loop(self, total: int) -> Iterator[Callable[[int], None]]:
        """Yield a function that notes how many of a loop's items are done; loops may be nested.

        Args:
            total: number of items.
        """
        loop = [0, max(total, 1)]
        self._loops.append(loop)
        try:
            yield lambda count: loop.__setitem__(0, count)
        finally:
            if loop in self._loops:
                del self._loops[self._loops.index(loop) :]
                self._closed_loops += not self._loops

    def _compute_fraction(self) -> float:
        """Return which part of the present stage is done."""
        done = 0.0
        for count, total in reversed(self._loops):
            done = min((count + done) / total, 1.0)
        left: float = (1 - _LOOP_SHARE) ** self._closed_loops
        return 1 - left * (1 - _LOOP_SHARE * done)

    def end_stage(self, is_done: bool) -> None:
        """Note that the present stage ends.

        Args:
            is_done: whether it was run; one that was up to date shows nothing of the pace.
        """
        weight = self._weights.pop(self.stage, 0.0)
        self._done_weight += weight if is_done else 0.0
        self.stage = ""

    def estimate_remaining(self) -> float | None:
        """Return the seconds that are left of the run; None while its pace is unknown."""
        partial = self._compute_fraction() * self._weights.get(self.stage, 0.0)
        done = self._done_weight + partial
        left = sum(self._weights.values()) - partial
        if done <= 0 or done < MIN_KNOWN_SHARE * (done + left):
            return None
        return (time.monotonic() - self._start) * left / done

    def describe(self) -> str:
        """Return stage, time so far and time left in words."""
        elapsed = time.monotonic() - self._start
        remaining = self.estimate_remaining()
        left = "" if remaining is None else f", about {_format_time(remaining)} left in the run"
        stage = f"stage {self.number} of {self.count}, {self.stage}" if self.stage else "the run"
        return f"{stage}: {_format_time(elapsed)}{left}"


def _format_time(seconds: float) -> str:
    """Return a time without more digits than an estimate has."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
