"""What single planted causes leave out: causes in pairs, wrong labels, rare subclasses, captions.

    python -m tests.bench.slices.special [--only PREFIX] [--cache FOLDER]

Each measurement but the pairs of causes trains a small model.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.results_file import format_table, write_section
from tests.bench.slices.altered_data import (
    CAPTION_SHARE,
    CLASS_PAIRS,
    KEPT_RARE_TRACKS,
    SMALL_MODEL_PASSES,
    WRONG_LABEL_SHARE,
    AlteredModel,
)
from tests.bench.slices.clean_models import CleanModel
from tests.bench.slices.command_options import (
    build_parser,
    format_command,
    hash_finder_code,
    prepare_process,
)
from tests.bench.slices.special_measurements import (
    Row,
    count_false_shortcuts,
    measure_captions,
    measure_cause_pair,
    measure_rare_subclass,
    measure_wrong_labels,
)

CAUSE_PAIRS = (("dark", "jpeg"), ("defocus_blur", "low_contrast"), ("occlusion", "defocus_blur"))
RARE_SIGNS = ("13", "14")  # yield and stop, both of the class priority


def list_measurements(cache: Path) -> dict[str, Callable[[], Any]]:
    """Return every measurement by name, as a function that computes it."""
    measurements: dict[str, Callable[[], Any]] = {}

    def add_measurement(
        name: str, measure: Callable[..., Any], *model_kinds: tuple[str, str]
    ) -> None:
        def compute() -> Any:
            models = [
                AlteredModel(data, kind, cache) if kind else CleanModel(data, cache)
                for data, kind in model_kinds
            ]
            return measure(*models)

        measurements[name] = compute

    for data in CLASS_PAIRS:
        add_measurement(f"captions {data}", measure_captions, (data, "caption"))
        add_measurement(f"labels {data}", measure_wrong_labels, (data, "labels"))
    for sign in RARE_SIGNS:
        rare = ("gtsrb", f"rare-{sign}")
        add_measurement(f"rare {sign}", measure_rare_subclass, rare, ("gtsrb", ""))
    for data in CLASS_PAIRS:
        for causes in CAUSE_PAIRS:
            name = f"pairs {data} {' '.join(causes)}"
            add_measurement(name, partial(measure_cause_pair, causes=causes), (data, ""))
        add_measurement(f"clean {data}", count_false_shortcuts, (data, ""))
        add_measurement(f"clean {data} labels", count_false_shortcuts, (data, "labels"))
    for sign in RARE_SIGNS:
        add_measurement(f"clean {sign}", count_false_shortcuts, ("gtsrb", f"rare-{sign}"))
    return measurements


HEADINGS = {
    "pairs": (
        "Two severe causes at once, in separate groups: is each found, and by a separate slice?"
    ),
    "labels": (
        f"{WRONG_LABEL_SHARE:.0%} of the labels of one class are another's, in training and val: "
        "flagged, and no slice?"
    ),
    "rare": (
        f"All but {KEPT_RARE_TRACKS} track of one sign taken out of training: a slice with no "
        "transform as its cause"
    ),
    "captions": (
        f"A line of print on {CAPTION_SHARE:.0%} of the images of one class: found as a shortcut?"
    ),
    "clean": "The same search without a caption",
}


def write_special_results(path: Path, results: dict[str, Any], command: str) -> None:
    """Write the section.

    Args:
        path: the result file.
        results: a row or a list of rows by name of the measurement.
        command: the command that was run.
    """
    parts = [
        f"{time.strftime('%Y-%m-%d')}, `{command}`: small models of {SMALL_MODEL_PASSES:,} passes "
        "but for the two causes."
    ]
    for kind, heading in HEADINGS.items():
        rows: list[Row] = []
        for name, result in results.items():
            if name.split()[0] == kind:
                rows += result if isinstance(result, list) else [result]
        if rows:
            parts += [f"### {heading}", format_table([_round_figures(row) for row in rows])]
    write_section(path, "Slices beyond single causes", "\n\n".join(parts))


def _round_figures(row: Row) -> Row:
    return {
        key: f"{value:.2f}" if isinstance(value, float) else value for key, value in row.items()
    }


def main() -> None:
    """Measure what the cache lacks, and write the results after each measurement."""
    parser = build_parser(__doc__)
    parser.add_argument("--only", default="", help="only measurements that begin with this")
    options = parser.parse_args()
    prepare_process()
    command = format_command("tests.bench.slices.special")
    version = hash_finder_code("cluster", "explain", "probe", "evaluate")
    results = {}
    for name, compute in list_measurements(options.cache).items():
        file = options.cache / "special" / f"{name}-{version}.json"
        if not file.exists() and name.startswith(options.only):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(compute()))
        if file.exists():
            results[name] = json.loads(file.read_text())
            print(f"{name}: {results[name]}", flush=True)
            write_special_results(options.results, results, command)


if __name__ == "__main__":
    main()
