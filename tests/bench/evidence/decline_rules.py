"""How often a decline rule's error exceeds its target: with the bound, and by the former rule.

`python -m tests.bench.evidence.decline_rules` takes a minute and writes its section of RESULTS.md.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from pipeline.statistics.classification.selective_prediction import (
    AnsweredImages,
    DeclineStatus,
    apply_decline_rule,
    choose_decline_rule,
)
from tests.bench.results_file import write_section

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
DRAWS = 500
POPULATION_GROUPS = 40_000
GROUP_SIZE = 4.0
WRONG_GROUPS = 0.005
"""Share of groups that are wrong as a whole at any confidence; most of them are dark."""


def draw_images(
    rng: np.random.Generator, group_count: int, *, is_unequal: bool
) -> tuple[AnsweredImages, NDArray[np.float64]]:
    """Return predictions and luminances; the difficulty of images of one group is correlated."""
    sizes = np.full(group_count, int(GROUP_SIZE))
    if is_unequal:
        sizes = rng.geometric(1 / GROUP_SIZE, group_count)
    groups = np.repeat(np.arange(group_count), sizes)
    shared, own = rng.normal(size=group_count)[groups], rng.normal(size=len(groups))
    difficulty = np.sqrt(0.5) * shared + np.sqrt(0.5) * own
    seen = 0.8 * difficulty + 0.6 * rng.normal(size=len(groups))
    is_hopeless = (rng.random(group_count) < WRONG_GROUPS)[groups]
    is_wrong = is_hopeless | (rng.random(len(groups)) < expit(2.0 * difficulty - 3.0))
    low, high = np.where(is_hopeless, 5, 20), np.where(is_hopeless, 60, 200)
    images = AnsweredImages(is_wrong.astype(float), expit(2.2 - 1.3 * seen), groups)
    return images, rng.uniform(low, high)


def choose_former_threshold(images: AnsweredImages, target_error: float) -> float | None:
    """Return the threshold of the former rule: the error on validation is at most the target."""
    order = np.argsort(-images.confidence)
    errors = np.cumsum(images.losses[order]) / np.arange(1, len(order) + 1)
    met = np.flatnonzero(errors <= target_error)
    return float(images.confidence[order[met[-1]]]) if len(met) else None


def measure(target_error: float, group_count: int, *, is_unequal: bool) -> str:
    """Return a row of the table."""
    rng = np.random.default_rng(0)
    everything, all_light = draw_images(rng, POPULATION_GROUPS, is_unequal=is_unequal)
    exceeded = former = held = 0
    coverages = []
    for _ in range(DRAWS):
        images, light = draw_images(rng, group_count, is_unequal=is_unequal)
        rule = choose_decline_rule(images, target_error, light)
        if rule["status"] == DeclineStatus.HELD:
            answered = apply_decline_rule(rule, everything.confidence, all_light)
            held += 1
            exceeded += everything.losses[answered].mean() > target_error
            coverages.append(answered.mean())
        threshold = choose_former_threshold(images, target_error)
        if threshold is not None:
            former += everything.losses[everything.confidence >= threshold].mean() > target_error
    sizes = "unequal" if is_unequal else "equal"
    coverage = f"{np.mean(coverages):.0%}" if coverages else ""
    shares = f"{exceeded / DRAWS:.1%} | {former / DRAWS:.1%} | {held / DRAWS:.0%} | {coverage}"
    return f"| {target_error:.0%} | {group_count} | {sizes} | {shares} |"


def main() -> None:
    """Measure, and write the section."""
    lines = [
        f"`python -m tests.bench.evidence.decline_rules`: {DRAWS} draws of validation sets with "
        f"{GROUP_SIZE:.0f} images a group; the true error is that of {POPULATION_GROUPS:,} groups. "
        "The former rule took the loosest threshold whose error on validation met the target.",
        "",
        "| target | groups | sizes | error above target | former rule | rule held | answered |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for target_error in (0.02, 0.05):
        for group_count in (150, 400, 1000):
            for is_unequal in (False, True):
                lines.append(measure(target_error, group_count, is_unequal=is_unequal))
                print(lines[-1], flush=True)
    write_section(RESULTS, "Decline rule", "\n".join(lines))


if __name__ == "__main__":
    main()
