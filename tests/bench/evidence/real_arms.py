"""What the gate decides on trained networks: placebos, and a trade that was trained in.

Networks of five layers learn traffic signs at 32 px. One baseline is fine-tuned many times: without
a treatment (control), and with one that answers no failure (placebo). Each trial draws validation
and test from the tracks that no training saw, and a slice by a quantile of an attribute. `python -m
tests.bench.evidence.real_arms` takes about three minutes of one core and writes its section.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.slices.comparison.comparison_record import build_split_record, judge_val_record
from pipeline.statistics.model_comparison import ModelComparison, ModelOutput
from tests.bench.evidence.bursts import read_signs
from tests.bench.evidence.draws import SLICE_NAME
from tests.bench.evidence.former_gate import passes_former_split
from tests.bench.evidence.gate_trials import MARGINS, TEST_ALPHA, VAL_ALPHA, judge_test
from tests.bench.remedies.network import SIDE, build_five_layers
from tests.bench.results_file import write_section

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
CLASSES, IMAGES_A_TRACK, TRAIN_SHARE = 12, 6, 0.4
BASELINE_PASSES, ARM_PASSES, BATCH = 12_000, 2_000, 64
ARMS = 5
"""Networks of each arm; trials of one seed pair them, those of five take all of them."""
TRIALS = 100
SLICE_SHARE = 0.3
DARKENED_SHARE, DARKNESS = 0.5, 0.25
Pixels = NDArray[np.uint8]
Treatment = Callable[[Pixels, NDArray[np.intp], np.random.Generator], Pixels]


@dataclass(frozen=True)
class Signs:
    """Traffic signs at 32 px.

    Attributes:
        pixels: uint8 [n, 32, 32, 3].
        labels: class indices, [n].
        tracks: track of each image, [n].
    """

    pixels: Pixels
    labels: NDArray[np.intp]
    tracks: NDArray[np.intp]

    def select(self, rows: NDArray[np.bool_]) -> Signs:
        """Return some of the images."""
        return Signs(self.pixels[rows], self.labels[rows], self.tracks[rows])


def load_signs(rng: np.random.Generator) -> Signs:
    """Return a few images of every track of the most frequent classes."""
    table, pixels = read_signs()
    most = table.groupby("label")["track"].nunique().nlargest(CLASSES).index
    is_kept = table["label"].isin(most).to_numpy()
    table, pixels = table[is_kept].reset_index(drop=True), pixels[is_kept]
    order = rng.permutation(len(table))
    place = table.iloc[order].groupby("track").cumcount().to_numpy()
    rows = np.sort(order[place < IMAGES_A_TRACK])
    small = np.stack([cv2.resize(image, (SIDE, SIDE)) for image in pixels[rows]])
    labels = np.unique(table["label"].iloc[rows], return_inverse=True)[1]
    tracks = np.unique(table["track"].iloc[rows], return_inverse=True)[1]
    return Signs(small, labels, tracks)


def keep_images(pixels: Pixels, labels: NDArray[np.intp], rng: np.random.Generator) -> Pixels:
    """Return the images as they are."""
    return pixels


def tint_images(pixels: Pixels, labels: NDArray[np.intp], rng: np.random.Generator) -> Pixels:
    """Return images of which half are tinted, a placebo: no slice is of another color."""
    factors = rng.uniform(0.8, 1.2, (len(pixels), 1, 1, 3))
    factors[rng.random(len(pixels)) < 0.5] = 1
    return np.clip(pixels * factors, 0, 255).astype(np.uint8)


def darken_some_classes(
    pixels: Pixels, labels: NDArray[np.intp], rng: np.random.Generator
) -> Pixels:
    """Return images of which half of those of the even classes are darkened."""
    is_dark = (rng.random(len(pixels)) < DARKENED_SHARE) & (labels % 2 == 0)
    treated = pixels.copy()
    treated[is_dark] = (treated[is_dark] * DARKNESS).astype(np.uint8)
    return treated


def _to_tensor(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def train_network(
    signs: Signs,
    passes: int,
    seed: int,
    treat: Treatment = keep_images,
    start: nn.Module | None = None,
) -> nn.Module:
    """Return a network after so many image passes, from `start` or from scratch."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = build_five_layers(num_classes=int(signs.labels.max()) + 1)
    if start is not None:
        network.load_state_dict(start.state_dict())
    highest = 2e-3 if start is None else 1e-3
    steps = passes // BATCH
    optimizer = torch.optim.AdamW(network.parameters(), lr=highest, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, highest, total_steps=steps)
    network.train()
    for _ in range(steps):
        rows = rng.integers(0, len(signs.labels), BATCH)
        images = _to_tensor(treat(signs.pixels[rows], signs.labels[rows], rng))
        loss = nn.functional.cross_entropy(
            network(images), torch.from_numpy(signs.labels[rows]), label_smoothing=0.05
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def predict(network: nn.Module, pixels: Pixels) -> NDArray[np.float32]:
    """Return logits, float32 [n, classes]."""
    with torch.inference_mode():
        parts = [network(_to_tensor(pixels[k : k + 512])) for k in range(0, len(pixels), 512)]
    return torch.cat(parts).numpy()


@dataclass(frozen=True)
class Answers:
    """Logits of all networks on images that no training saw.

    Attributes:
        signs: the images.
        before: logits of the baseline.
        arms: by arm, logits of each network.
    """

    signs: Signs
    before: NDArray[np.float32]
    arms: dict[str, list[NDArray[np.float32]]]


def draw_slice(signs: Signs, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return the members of a slice: a tail of brightness, contrast, sharpness or color."""
    gray = signs.pixels.mean(axis=3)
    attributes = (
        gray.mean(axis=(1, 2)),
        gray.std(axis=(1, 2)),
        np.abs(np.diff(gray, axis=2)).mean(axis=(1, 2)),
        signs.pixels[..., 0].mean(axis=(1, 2)) - signs.pixels[..., 2].mean(axis=(1, 2)),
    )
    values = attributes[rng.integers(len(attributes))] * rng.choice([-1, 1])
    return np.asarray(values <= np.quantile(values, SLICE_SHARE))


def run_trial(
    answers: Answers, arm: str, seeds: int, rng: np.random.Generator, inside: NDArray[np.bool_]
) -> tuple[bool, bool]:
    """Return whether the gate, and the former one, promote an arm against the control."""
    chosen = {name: rng.permutation(ARMS)[:seeds] for name in ("control", arm)}
    tracks = rng.permutation(np.unique(answers.signs.tracks))
    is_val = np.isin(answers.signs.tracks, tracks[: len(tracks) // 2])

    def compare(rows: NDArray[np.bool_]) -> ModelComparison:
        models = [ModelOutput("before", None, answers.before[rows])]
        for seed in range(seeds):
            for name, source in (("control", "control"), ("targeted", arm)):
                logits = answers.arms[source][chosen[source][seed]]
                models.append(ModelOutput(name, seed, logits[rows]))
        classes = [f"{k:02d}" for k in range(answers.before.shape[1])]
        masks = {SLICE_NAME: inside[rows]}
        return ModelComparison(
            answers.signs.labels[rows], answers.signs.tracks[rows], classes, models, masks
        )

    val, test = compare(is_val), compare(~is_val)
    record = build_split_record(val, [SLICE_NAME], VAL_ALPHA, MARGINS)
    record = judge_val_record(record, "before")
    is_promoted = record["passed"] and all(item["passed"] for item in judge_test(record, test))
    former = passes_former_split(val, inside[is_val], VAL_ALPHA) and passes_former_split(
        test, inside[~is_val], TEST_ALPHA
    )
    return bool(is_promoted), bool(former)


def train_arms(signs: Signs, held: Signs) -> Answers:
    """Return what every network answers; dark copies of the held images come behind them."""
    baseline = train_network(signs, BASELINE_PASSES, 0)
    dark = (held.pixels * DARKNESS).astype(np.uint8)
    everything = np.concatenate([held.pixels, dark])
    treatments: dict[str, Treatment] = {
        "control": keep_images,
        "placebo": tint_images,
        "trade": darken_some_classes,
    }
    arms: dict[str, list[NDArray[np.float32]]] = {}
    for number, (arm, treat) in enumerate(treatments.items()):
        arms[arm] = []
        for seed in range(ARMS):
            network = train_network(signs, ARM_PASSES, 100 * number + seed + 1, treat, baseline)
            arms[arm].append(predict(network, everything))
        print(arm, flush=True)
    both = Signs(everything, np.tile(held.labels, 2), np.tile(held.tracks, 2))
    return Answers(both, predict(baseline, everything), arms)


def _drop_dark(answers: Answers) -> Answers:
    """Return the answers to the held images alone, without their dark copies."""
    count = len(answers.signs.labels) // 2
    arms = {name: [logits[:count] for logits in item] for name, item in answers.arms.items()}
    rows = np.arange(2 * count) < count
    return Answers(answers.signs.select(rows), answers.before[:count], arms)


def _thin_dark(answers: Answers, rng: np.random.Generator) -> tuple[Answers, NDArray[np.bool_]]:
    """Return one image of each pair, the dark one for three tracks in ten, and which are dark."""
    count = len(answers.signs.labels) // 2
    tracks = np.unique(answers.signs.tracks)
    dark_tracks = rng.choice(tracks, int(SLICE_SHARE * len(tracks)), replace=False)
    is_dark = np.isin(answers.signs.tracks[:count], dark_tracks)
    rows = np.concatenate([~is_dark, is_dark])
    arms = {name: [logits[rows] for logits in item] for name, item in answers.arms.items()}
    chosen = Answers(answers.signs.select(rows), answers.before[rows], arms)
    return chosen, np.arange(2 * count)[rows] >= count


def main() -> None:
    """Train, judge, and write the section."""
    torch.set_num_threads(1)
    start = time.monotonic()
    rng = np.random.default_rng(0)
    signs = load_signs(rng)
    tracks = rng.permutation(np.unique(signs.tracks))
    is_train = np.isin(signs.tracks, tracks[: int(TRAIN_SHARE * len(tracks))])
    answers = train_arms(signs.select(is_train), signs.select(~is_train))
    plain = _drop_dark(answers)
    rows = []
    for arm, seeds, goal in (
        ("placebo", 1, "<= 2 of 100"),
        ("placebo", 5, "<= 2 of 100"),
        ("trade", 1, "refused"),
        ("trade", 5, "refused"),
    ):
        counts = np.zeros(2, dtype=int)
        for _ in range(TRIALS):
            if arm == "trade":
                chosen, inside = _thin_dark(answers, rng)
            else:
                chosen, inside = plain, draw_slice(plain.signs, rng)
            counts += run_trial(chosen, arm, seeds, rng, inside)
        rows.append(f"| {arm} | {seeds} | {counts[0]} of {TRIALS} | {counts[1]} | {goal} |")
        print(rows[-1], flush=True)
    minutes = (time.monotonic() - start) / 60
    accuracy = float((plain.before.argmax(1) == plain.signs.labels).mean())
    held = len(np.unique(plain.signs.tracks))
    text = f"""`python -m tests.bench.evidence.real_arms`, {minutes:.0f} minutes on one busy core:
{3 * ARMS} fine-tunes of one network ({ARM_PASSES:,} image passes, 32 px, {CLASSES} classes).
It reads {accuracy:.0%} of unseen traffic signs right. Each of {TRIALS} trials draws its networks
from {ARMS} of each arm, validation and test from {held} unseen tracks, and its slice; so trials
share networks and are not independent. placebo: half of the training images tinted. trade: half of
those of every second class darkened, and three tracks in ten dark.

| arm | seeds | promoted | by the former gate | goal |
| --- | --- | --- | --- | --- |
{chr(10).join(rows)}
"""
    write_section(RESULTS, "Evidence: trained arms", text)


if __name__ == "__main__":
    main()
