"""`make bench-slices`: name the causes of planted slices, and write that section of the results.

    python -m tests.bench.slices.named [--causes development|held_out|all] [--limit N] [--known]

Of each valid setting, the confirmed slice that holds most of the planted images is judged. Results
are kept in the cache folder under the version of the finder's code: a stopped run can be continued.
"""

from __future__ import annotations

import time
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.report.sentences.slice_sentences import describe_slice
from tests.bench.results_file import format_table, write_section
from tests.bench.slices.clean_models import CleanModel
from tests.bench.slices.command_options import build_parser, format_command, prepare_process
from tests.bench.slices.equivalent_remedies import find_equivalent_remedies
from tests.bench.slices.finder_runs import run_finder
from tests.bench.slices.metrics import format_proportion
from tests.bench.slices.planted_causes import CAUSES
from tests.bench.slices.planted_settings import (
    CAUSE_SETS,
    PlantedCase,
    PlantedSetting,
    draw_settings,
    plant_setting,
)
from tests.bench.slices.result_sections import (
    CAUSE_HEADINGS,
    build_proportion_targets,
    format_targets,
)
from tests.bench.slices.run import get_result_file, load_or_compute

Row = dict[str, Any]
DRAWN_ORDER = "in the order drawn by seed, whatever came out, as far as the time went"
CHOSEN_BY_HAND = "chosen by hand, so no sample"


def name_planted_cause(case: PlantedCase) -> Row:
    """Return what the finder finds about the slice that holds the planted images."""
    setting = case.setting
    row: Row = {
        "setting": setting.name,
        "cause": setting.cause,
        "severity": setting.severity,
        "images": int(case.is_planted.sum()),
        "accuracy_loss": case.accuracy_loss,
        "is_valid": case.is_valid,
        "status": "nothing found",
        "overlap": 0.0,
        "named": None,
        "named_set": [],
        "is_exact": False,
        "is_right": False,
    }
    if not case.is_valid:
        return row
    result = run_finder(case)
    if result.table.empty:
        return row
    explanation = result.table.iloc[result.cause_row]
    named = None if pd.isna(explanation["cause"]) else str(explanation["cause"])
    is_exact = named == CAUSES[setting.cause].remedy
    equivalent: frozenset[str] = frozenset()
    if not is_exact:
        equivalent = find_equivalent_remedies(case.clean, setting.cause, setting.severity)
    return row | {
        "overlap": float(explanation["overlap"]),
        "status": str(explanation["status"]),
        "rule": str(explanation["rule"]),
        "words": describe_slice(explanation.to_dict()).sentence,
        "named": named,
        "named_set": sorted(c.remedy for c in result.candidates if c.is_named),
        "equivalent": sorted(equivalent),
        "is_exact": is_exact,
        "is_right": is_exact or named in equivalent,
        "strengths": (float(explanation["strength_low"]), float(explanation["strength_high"])),
    }


def _compare_strengths(rows: list[Row]) -> list[tuple[bool, bool]]:
    """Return whether the strength range covers the planted one, and whether it meets it.

    Only settings whose exact cause was named are compared, if its strength has the remedy's unit.
    """
    compared = []
    for row in rows:
        cause = CAUSES[row["cause"]]
        if row["is_exact"] and cause.has_remedy_unit:
            planted_low, planted_high = cause.strength_ranges[row["severity"]]
            low, high = row["strengths"]
            does_cover = low <= planted_low and high >= planted_high
            does_meet = low <= planted_high and high >= planted_low
            compared.append((does_cover, does_meet))
    return compared


def _format_figures(rows: list[Row]) -> str:
    compared = _compare_strengths(rows)
    confirmed = [row for row in rows if row["status"] == "confirmed"]
    set_sizes = [len(row["named_set"]) for row in rows if row["named_set"]]
    wrong_count = sum(not row["is_right"] and row["named"] is not None for row in rows)
    right_count = sum(row["is_right"] for row in rows)
    exact_count = sum(row["is_exact"] for row in rows)
    right_confirmed_count = sum(row["is_right"] for row in confirmed)
    cover_count = sum(does_cover for does_cover, _ in compared)
    meet_count = sum(does_meet for _, does_meet in compared)
    proportions = {
        "confirmed": (len(confirmed), len(rows)),
        "right cause named first, up to equivalence": (right_count, len(rows)),
        "strictly": (exact_count, len(rows)),
        "of the confirmed, up to equivalence": (right_confirmed_count, len(confirmed)),
        "a wrong cause named first": (wrong_count, len(rows)),
        "strength range covers the planted one, if strictly right": (cover_count, len(compared)),
        "strength range meets the planted one, if strictly right": (meet_count, len(compared)),
    }
    lines = [f"- {name}: {format_proportion(*counts)}" for name, counts in proportions.items()]
    mean_size = np.mean(set_sizes) if set_sizes else 0
    lines.insert(5, f"- causes in a named set: {mean_size:.1f} on average")
    return "\n".join(lines)


def _format_settings(rows: list[Row]) -> str:
    lines = []
    for row in rows:
        others = [cause for cause in row["named_set"] if cause != row["named"]]
        lines.append(
            {
                "setting": row["setting"],
                "images": row["images"],
                "status": row["status"],
                "drop": f"{row['accuracy_loss']:.0%}",
                "overlap": f"{row['overlap']:.2f}",
                "cause": " or ".join([row["named"], *others]) if row["named"] else "unnamed",
                "right": "yes" if row["is_right"] else "",
            }
        )
    return format_table(lines)


def write_cause_results(path: Path, rows: list[Row], command: str, selection: str) -> None:
    """Write the section on causes.

    Args:
        path: the result file.
        rows: a row for each valid setting.
        command: the command that was run.
        selection: how the settings were selected, in words.
    """
    is_right = [row["is_right"] for row in rows]
    does_cover = [covers for covers, _ in _compare_strengths(rows)]
    targets = [
        *build_proportion_targets("right cause first, up to equivalence", "cause", 0.9, is_right),
        *build_proportion_targets(
            "strength range covers the planted one", "strength", 0.8, does_cover
        ),
    ]
    parts = [
        f"{time.strftime('%Y-%m-%d')}, `{command}`: {len(rows)} valid settings, {selection}.",
        format_targets(targets),
    ]
    for heading, causes in CAUSE_HEADINGS.items():
        selected = [row for row in rows if row["cause"] in causes]
        if selected:
            parts.append(f"### Causes named: {heading.lower()}")
            parts += [f"{len(selected)} settings.", _format_figures(selected)]
    parts += ["### Every setting named", _format_settings(rows)]
    write_section(path, "Causes of slices", "\n\n".join(parts))


def main() -> None:
    """Name the causes, and write the results after each setting."""
    parser = build_parser(__doc__)
    parser.add_argument("--causes", choices=list(CAUSE_SETS), default="development")
    parser.add_argument("--limit", type=int, help="settings at most, in the order drawn")
    parser.add_argument("--setting", nargs="+", help="only these, by name")
    parser.add_argument(
        "--known", action="store_true", help="only what earlier runs left in the cache"
    )
    options = parser.parse_args()
    prepare_process()
    command = format_command("tests.bench.slices.named")
    clean_models = {name: CleanModel(name, options.cache) for name in options.data}
    settings: list[PlantedSetting] = draw_settings(tuple(options.data), CAUSE_SETS[options.causes])
    if options.setting:
        settings = [setting for setting in settings if setting.name in options.setting]
    selection = CHOSEN_BY_HAND if options.setting else DRAWN_ORDER
    rows: list[Row] = []
    for setting in islice(settings, options.limit):
        file = get_result_file(setting, options.cache, "causes")
        if options.known and not file.exists():
            continue
        build_case = partial(plant_setting, setting, clean_models[setting.data])
        row = load_or_compute(file, build_case, name_planted_cause)
        outcome = f"{row['status']}, {row['named']}" if row["is_valid"] else "not valid"
        print(f"{setting.name}: {outcome}", flush=True)
        if row["is_valid"]:
            rows.append(row)
            write_cause_results(options.results, rows, command, selection)


if __name__ == "__main__":
    main()
