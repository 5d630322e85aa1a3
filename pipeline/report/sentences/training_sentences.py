"""Sentences about the training: the image side, overfitting, or a model that was taken over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.domain.statuses import ModelOrigin, SeedOutcome
from pipeline.report.sentences.number_format import format_count, format_percent

if TYPE_CHECKING:
    from pipeline.learning.inference.side_accuracy import SideComparison
    from pipeline.learning.models.hub_weights import InitialWeights
    from pipeline.learning.models.side_choice import SideChoice


def describe_side_choice(choice: SideChoice) -> str:
    """Return which side was chosen for the images, and what the next larger one would cost.

    Args:
        choice: the choice.
    """
    chosen = f"images are read at {choice.side} px (ingest.side: auto)"
    if choice.minutes is None:
        return chosen
    chosen += f"; training takes about {choice.minutes:.2g} minutes on this machine"
    if choice.larger_side is None or choice.larger_minutes is None:
        return chosen
    return (
        f"{chosen}; {choice.larger_side} px would take about {choice.larger_minutes:.2g} "
        "(train.minutes)"
    )


def describe_side_comparison(comparison: SideComparison) -> str:
    """Return what the side of the images costs in accuracy, by a classifier of frozen features.

    Args:
        comparison: the comparison with a larger side.
    """
    lost = comparison.lost
    value, low, high = (f"{100 * number:+.1f}" for number in (lost.value, lost.low, lost.high))
    return (
        f"the images are larger than {comparison.side} px: of {comparison.image_count:,} training "
        f"images a linear classifier of frozen features recognizes "
        f"{100 * comparison.accuracy:.1f} % at {comparison.side} px and "
        f"{100 * comparison.larger_accuracy:.1f} % at {comparison.larger_side} px "
        f"({value} points, 95 % interval {low} to {high}; ingest.side)"
    )


def describe_class_imbalance(rarest: str, rare_count: int, frequent_count: int) -> str:
    """Return how much rarer the rarest class of training is, and the setting for long tails.

    >>> describe_class_imbalance("stop", 12, 480).split("; ")[0]
    'class stop has 12 training images, the largest class 40 times as many'

    Args:
        rarest: the class with the fewest training images.
        rare_count: their number.
        frequent_count: number of training images of the largest class.
    """
    images = format_count(rare_count, "training image", "training images")
    return (
        f"class {rarest} has {images}, the largest class {frequent_count / rare_count:.0f} times "
        "as many; where all classes should count alike, try train.class_balance: logits"
    )


def describe_initial_weights(initial: InitialWeights) -> str:
    """Return which network `train.weights: auto` took, and why not the hub's.

    Args:
        initial: the choice.
    """
    chosen = f"{initial.backbone} with {initial.source} weights (train.weights: auto)"
    return f"{chosen}: the hub is not used, {initial.obstacle}" if initial.obstacle else chosen


def describe_training(training: Mapping[str, Any]) -> str:
    """Return whether the model overfits, or where an untrained one comes from.

    Args:
        training: the artifact of that name.
    """
    match ModelOrigin(training["origin"]):
        case ModelOrigin.CHAMPION:
            return "the champion was taken as it is: nothing was trained"
        case ModelOrigin.USER_FILE:
            return f"{training['model_file']} was taken as it is: nothing was trained"
        case ModelOrigin.TRAINED:
            return _describe_overfitting(training)


def _describe_overfitting(training: Mapping[str, Any]) -> str:
    gap, step = training["accuracy_gap"], training["overfitting_from"]
    if gap is None:
        return "overfitting was not judged: there is no holdout"
    gap_text = f"train/holdout gap {100 * gap:.1f} points at the end"
    if step is not None:
        kept_step = training["best_step"]
        return (
            f"overfitting from step {step}: {gap_text}; the weights of step {kept_step} were kept"
        )
    if training["is_gap_wide"]:
        return f"it generalizes poorly, though the holdout's loss did not rise: {gap_text}"
    return f"no overfitting seen: {gap_text}"


def describe_seed_stages(seeds: Mapping[str, Any] | None, base_passes: int) -> str:
    """Return why seeds of the arms are missing, and what the arms cost; empty if none was trained.

    Args:
        seeds: `seeds` of the artifact `comparison`.
        base_passes: image passes of the training of the model before.
    """
    if not seeds or not seeds["passes"]:
        return ""
    sentences = []
    if seeds["outcome"] == SeedOutcome.FUTILE:
        chance = format_percent(seeds["conditional_power"], 0)
        sentences.append(
            f"After {seeds['trained']} of {seeds['planned']} seeds the chance that validation "
            f"would pass was at most {chance}, so the others and the generic arm were not trained."
        )
    if base_passes:
        ratio = seeds["passes"] / base_passes
        sentences.append(f"All arms took {ratio:.1f} times the image passes of the model before.")
    return " ".join(sentences)
