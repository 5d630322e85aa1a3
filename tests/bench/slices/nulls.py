"""Null draws: in real images nothing is left to be found, and confirmed slices are counted.

    python -m tests.bench.slices.nulls [--draws N] [--data NAME ...] [--cache FOLDER]

Outcomes are permuted by whole groups within class.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.bench.results_file import write_section
from tests.bench.slices.clean_models import CleanModel
from tests.bench.slices.command_options import (
    build_parser,
    format_command,
    hash_finder_code,
    prepare_process,
)
from tests.bench.slices.finder_runs import run_finder
from tests.bench.slices.metrics import format_proportion
from tests.bench.slices.planted_settings import PlantedCase, build_unplanted_case
from tests.bench.slices.result_sections import Target, format_targets

DRAWS_PER_SECTION = 50
MAX_FALSE_SHARE = 0.05


def draw_outcome_donors(labels: NDArray[Any], groups: NDArray[Any], seed: int) -> NDArray[np.intp]:
    """Return for each image the image that gives it its outcomes, [images].

    A group gets the outcomes of another group of its class, repeated or cut to its size. Then no
    outcome depends on the content of an image.

    Args:
        labels: label of each image.
        groups: group of each image.
        seed: seed of the draw.
    """
    rng = np.random.default_rng(seed)
    donors = np.arange(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        names, codes = np.unique(groups[rows], return_inverse=True)
        rows_by_group = [rows[codes == code] for code in range(len(names))]
        order = rng.permutation(len(names))
        for own_rows, donor_group in zip(rows_by_group, order, strict=True):
            donor_rows = rng.permutation(rows_by_group[donor_group])
            donors[own_rows] = np.resize(donor_rows, len(own_rows))
    return donors


def count_confirmed_by_errors(case: PlantedCase, seed: int) -> int:
    """Return how many slices are confirmed if outcomes are permuted."""
    labels = case.clean.images.labels[case.clean.val_rows]
    donors = draw_outcome_donors(labels, case.clean.val_groups, seed)
    return len(run_finder(case, donors, should_name_cause=False).confirmed)


COUNTERS = {"errors": count_confirmed_by_errors}
DrawCounts = dict[str, int]
"""Confirmed slices by seed."""


def _get_counts_file(cache: Path, data_sets: tuple[str, ...], kind: str) -> Path:
    return cache / f"nulls-{kind}-{'-'.join(data_sets)}-{hash_finder_code()}.json"


def _load_counts(file: Path) -> DrawCounts:
    counts: DrawCounts = json.loads(file.read_text()) if file.exists() else {}
    return counts


def count_draws(cache: Path, draw_count: int, data_sets: tuple[str, ...]) -> dict[str, DrawCounts]:
    """Return confirmed slices by kind and seed; draws that earlier runs counted are kept.

    Args:
        cache: folder of kept results.
        draw_count: independent draws of each kind.
        data_sets: names of the data sets, which are used in turn.
    """
    clean_models = [CleanModel(name, cache) for name in data_sets]
    counts_by_kind = {}
    for kind, count_confirmed in COUNTERS.items():
        file = _get_counts_file(cache, data_sets, kind)
        counts = _load_counts(file)
        for seed in range(draw_count):
            if str(seed) not in counts:
                clean = clean_models[seed % len(clean_models)]
                counts[str(seed)] = count_confirmed(build_unplanted_case(clean), seed)
                file.write_text(json.dumps(counts))
        counts_by_kind[kind] = counts
    return counts_by_kind


def write_null_results(
    path: Path, counts_by_kind: dict[str, DrawCounts], data_sets: tuple[str, ...], command: str
) -> None:
    """Write the section on null draws.

    Args:
        path: the result file.
        counts_by_kind: confirmed slices by kind and seed.
        data_sets: names of the data sets.
        command: the command that was run.
    """
    targets = []
    for kind, counts in counts_by_kind.items():
        false_count = sum(count > 0 for count in counts.values())
        targets.append(
            Target(
                f"null draws ({kind} permuted) with anything confirmed",
                "",
                MAX_FALSE_SHARE,
                false_count / max(len(counts), 1),
                format_proportion(false_count, len(counts)),
                is_maximum=True,
            )
        )
    date = time.strftime("%Y-%m-%d")
    head = f"{date}, `{command}`: val of {' and '.join(data_sets)} in turn."
    write_section(path, "Null draws", f"{head}\n\n{format_targets(targets)}")


def main() -> None:
    """Count the draws, and write the results after each fifty."""
    parser = build_parser(__doc__)
    parser.add_argument("--draws", type=int, default=300)
    options = parser.parse_args()
    prepare_process()
    command = format_command("tests.bench.slices.nulls")
    data_sets = tuple(options.data)
    steps = [*range(DRAWS_PER_SECTION, options.draws, DRAWS_PER_SECTION), options.draws]
    for draw_count in steps:
        counts_by_kind = count_draws(options.cache, draw_count, data_sets)
        write_null_results(options.results, counts_by_kind, data_sets, command)
        for kind, counts in counts_by_kind.items():
            false_count = sum(count > 0 for count in counts.values())
            print(f"{kind}: {false_count} of {len(counts)} draws confirm a slice", flush=True)


if __name__ == "__main__":
    main()
