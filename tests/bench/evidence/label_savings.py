"""Labels needed to show a gain: drawn where two models disagree, and drawn at random.

`python -m tests.bench.evidence.label_savings` takes a minute and writes its section of RESULTS.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.statistics.arrivals.active_evaluation import (
    LabeledTraffic,
    draw_labels,
    estimate_labeled_gain,
)
from tests.bench.results_file import write_section

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
IMAGES = 4000
DRAWS, NULL_DRAWS = 200, 1000
POWER = 0.8
LABEL_COUNTS = (25, 50, 75, 100, 150, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3200, 4000)


@dataclass(frozen=True)
class Traffic:
    """Arriving images: the slice, and what both models get right."""

    is_inside: np.ndarray
    new: np.ndarray
    old: np.ndarray


def draw_traffic(rng: np.random.Generator, gain: float) -> Traffic:
    """Return images, 15 % of them in a slice where the new model gains; errors are 30 % there."""
    inside = rng.random(IMAGES) < 0.15
    old = rng.random(IMAGES) > np.where(inside, 0.3, 0.05)
    repaired = ~old & (rng.random(IMAGES) < np.where(inside, (gain + 0.02) / 0.3, 0.1))
    broken = old & (rng.random(IMAGES) < np.where(inside, 0.02 / 0.7, 0.1 * 0.05 / 0.95))
    return Traffic(inside, (old | repaired) & ~broken, old)


def is_gain_shown(rng: np.random.Generator, gain: float, count: int, batch: str) -> bool:
    """Return whether `count` labels show a gain inside the slice at 2.5 %.

    Args:
        rng: source of the draws.
        gain: true gain inside the slice.
        count: number of labels.
        batch: how they are chosen: disagreement, inside (at random in the slice) or random.
    """
    traffic = draw_traffic(rng, gain)
    # two models that are both wrong agree: there are two classes
    is_disagreement = traffic.new != traffic.old
    gains = traffic.new.astype(float) - traffic.old
    if batch == "disagreement":
        draw = draw_labels(is_disagreement, traffic.is_inside, count, int(rng.integers(2**31)))
        labeled = LabeledTraffic(np.arange(IMAGES), draw.probability, draw.is_drawn)
        part = traffic.is_inside
        return bool(estimate_labeled_gain(labeled, gains, is_disagreement, part).low > 0)
    rows = np.flatnonzero(traffic.is_inside) if batch == "inside" else np.arange(IMAGES)
    drawn = np.zeros(IMAGES, bool)
    drawn[rng.choice(rows, min(count, len(rows)), replace=False)] = True
    part = traffic.is_inside & drawn
    # a batch at random is read as it stands, agreement or not
    labeled = LabeledTraffic(np.arange(IMAGES), np.ones(IMAGES), drawn)
    everywhere = np.ones(IMAGES, bool)
    return bool(part.any() and estimate_labeled_gain(labeled, gains, everywhere, part).low > 0)


def find_required_labels(gain: float, batch: str) -> tuple[int | None, float]:
    """Return the fewest labels with a power of .8, and the share of false gains with as many."""
    rng = np.random.default_rng(0)
    needed = None
    for count in LABEL_COUNTS:
        if np.mean([is_gain_shown(rng, gain, count, batch) for _ in range(DRAWS)]) >= POWER:
            needed = count
            break
    at = needed or LABEL_COUNTS[-1]
    false = [is_gain_shown(rng, 0.0, at, batch) for _ in range(NULL_DRAWS)]
    return needed, float(np.mean(false))


def main() -> None:
    """Measure, and write the section."""
    lines = [
        f"`python -m tests.bench.evidence.label_savings`: {IMAGES:,} arriving images, 15 % of them "
        f"in the slice; labels needed to show the gain there with a power of {POWER}, tested at "
        f"2.5 %; {DRAWS} draws a cell, {NULL_DRAWS} without a gain. In brackets: false gains with "
        "as many labels. Goal: at least 4 times fewer than at random.",
        "",
        "| gain in the slice | where the models disagree | at random in the slice | at random "
        "| times fewer than in the slice | than at random |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for gain in (0.05, 0.08, 0.12):
        cells, counts = [], []
        for batch in ("disagreement", "inside", "random"):
            needed, false = find_required_labels(gain, batch)
            cells.append(f"{needed or f'over {LABEL_COUNTS[-1]}'} ({false:.1%})")
            counts.append(needed or LABEL_COUNTS[-1])
        ratios = [f"{count / counts[0]:.1f}" for count in counts[1:]]
        lines.append(f"| {100 * gain:.0f} points | {' | '.join([*cells, *ratios])} |")
        print(lines[-1], flush=True)
    write_section(RESULTS, "Labels where two models disagree", "\n".join(lines))


if __name__ == "__main__":
    main()
