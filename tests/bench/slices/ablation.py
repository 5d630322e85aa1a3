"""What each part of the slice finder adds: each is left out in turn, on equal arrays.

    python -m tests.bench.slices.ablation [--limit N] [--draws N] [--data NAME ...]

The settings of the benchmark are used in the order drawn. The outcomes with nothing planted are
permuted as in `tests.bench.slices.nulls`. The result of each setting is kept in the cache folder
under the version of the finder's code: a stopped run can be continued. Decisions that rest on it
are in `pipeline/decisions/finder-parts.md`.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from pipeline.domain.rules import Rule
from pipeline.slices.candidates import (
    condition_search,
    rule_application,
    rule_proposal,
    rule_selection,
)
from pipeline.slices.finder_constants import CONSTANTS
from tests.bench.results_file import format_table, write_section
from tests.bench.slices.clean_models import CleanModel
from tests.bench.slices.command_options import (
    build_parser,
    format_command,
    hash_finder_code,
    prepare_process,
)
from tests.bench.slices.finder_runs import is_enriched, run_finder
from tests.bench.slices.metrics import estimate_mean_difference, format_proportion
from tests.bench.slices.nulls import draw_outcome_donors
from tests.bench.slices.planted_settings import (
    CAUSE_SETS,
    PlantedCase,
    build_unplanted_case,
    draw_settings,
    plant_setting,
)
from tests.bench.slices.result_sections import MIN_PRECISION
from tests.bench.slices.run import measure_finder

UNREACHED = 1e9  # a share or factor that nothing reaches
FULL_FINDER = "nothing (the full finder)"
Row = dict[str, Any]


@dataclass(frozen=True)
class Replacement:
    """A name in a module of the finder that is replaced."""

    module: ModuleType
    name: str
    value: Any


def _replace_constants(module: ModuleType, **constants: Any) -> tuple[Replacement, ...]:
    """Return the replacement of some constants of `slices.candidates` in one module."""
    candidates = replace(CONSTANTS.candidates, **constants)
    return (Replacement(module, "CONSTANTS", replace(CONSTANTS, candidates=candidates)),)


def _keep_candidate(candidate: Any, *_: Any) -> Any:
    return candidate


def _propose_nothing(_evidence: Any) -> list[Any]:
    return []


FINDER_PARTS: dict[str, tuple[Replacement, ...]] = {
    FULL_FINDER: (),
    "source: attributes, all errors": _replace_constants(rule_proposal, attribute_conditions=0),
    "source: one class": _replace_constants(rule_proposal, max_searched_classes=0),
    "source: repairs": _replace_constants(rule_proposal, repair_conditions=0),
    "source: mixture": _replace_constants(rule_proposal, mixture_conditions=0),
    "source: frozen features": _replace_constants(rule_proposal, max_similarity_share=0.0),
    "source: images without a mark": (
        Replacement(rule_application, "propose_unmarked_rules", _propose_nothing),
    ),
    "contained_share": _replace_constants(rule_selection, contained_share=UNREACHED),
    "class_contained_share": _replace_constants(rule_selection, class_contained_share=UNREACHED),
    "density_factor": _replace_constants(rule_selection, density_factor=UNREACHED),
    "all three of these": _replace_constants(
        rule_selection, contained_share=UNREACHED, class_contained_share=UNREACHED
    ),
    "tie rule of readable rules": (
        Replacement(rule_selection, "_choose_plainest", _keep_candidate),
    ),
    "tie rule of thresholds": _replace_constants(condition_search, tied_score_share=UNREACHED),
}
"""By the name of a part, the replacements that leave it out."""
PLANTED_MEASURES = {
    "best": "precision@10, best of three",
    "is_precise": "settings >= .8",
    "first": "first slice",
    "confirmed_share": "confirmed of proposed",
    "confirmed": "confirmed slices",
    "has_cause": "cause in a confirmed slice",
    "overlap": "its overlap",
}
MEASURES = PLANTED_MEASURES | {"null_confirmed": "null slices a draw"}


def _list_sources(confirmed: pd.DataFrame) -> list[str]:
    return [Rule.parse_json(frozen).source for frozen in confirmed["frozen"]]


def measure_planted_case(case: PlantedCase) -> Row:
    """Return what the finder, with its present parts, finds in a case."""
    precisions = measure_finder(case)
    result = run_finder(case, should_name_cause=False)
    is_confirmed = (result.table["status"] == "confirmed").to_numpy()
    overlaps = [
        overlap
        for overlap, confirmed, mask in zip(
            result.table["overlap"], is_confirmed, result.members, strict=True
        )
        if confirmed and is_enriched(case, mask)
    ]
    return {
        **precisions,
        "is_precise": float(precisions["best"] >= MIN_PRECISION),
        "confirmed": float(is_confirmed.sum()),
        "confirmed_share": float(is_confirmed.mean()) if len(is_confirmed) else 0.0,
        "has_cause": float(bool(overlaps)),
        "overlap": float(max(overlaps, default=0.0)),
        "sources": _list_sources(result.confirmed),
    }


def measure_null_draw(case: PlantedCase, seed: int) -> Row:
    """Return how many slices are confirmed in val without a cause, with permuted outcomes."""
    labels = case.clean.images.labels[case.clean.val_rows]
    donors = draw_outcome_donors(labels, case.clean.val_groups, seed)
    confirmed = run_finder(case, donors, should_name_cause=False).confirmed
    return {"null_confirmed": float(len(confirmed)), "sources": _list_sources(confirmed)}


def leave_out_parts(measure: Callable[[], Row]) -> Iterator[Row]:
    """Yield the row of `measure` for each part that is left out, on the same arrays."""
    for part, replacements in FINDER_PARTS.items():
        with ExitStack() as stack:
            for replacement in replacements:
                stack.enter_context(
                    patch.object(replacement.module, replacement.name, replacement.value)
                )
            yield {"part": part, **measure()}


@dataclass(frozen=True)
class AblationCase:
    """A setting or null draw whose parts are left out.

    Attributes:
        name: name of the setting or the draw.
        measure: measures the finder with its present parts.
    """

    name: str
    measure: Callable[[], Row]


def list_cases(clean: CleanModel, draw_count: int, limit: int) -> Iterator[AblationCase]:
    """Yield the null draws of a data set, then its first valid settings.

    Args:
        clean: the clean model of the data set.
        draw_count: number of null draws.
        limit: valid settings at most.
    """
    unplanted = build_unplanted_case(clean)
    for seed in range(draw_count):
        measure = partial(measure_null_draw, unplanted, seed)
        yield AblationCase(f"{clean.name} null {seed}", measure)
    planted = (
        plant_setting(setting, clean) for setting in draw_settings((clean.name,), CAUSE_SETS["all"])
    )
    valid = (case for case in planted if case.is_valid)
    for case in islice(valid, limit):
        yield AblationCase(case.setting.name, partial(measure_planted_case, case))


def load_or_measure(case: AblationCase, cache: Path) -> list[Row]:
    """Return a row for each part that is left out; they are measured if they are not kept."""
    file = cache / "ablation" / f"{case.name}-{hash_finder_code()}.json"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"setting": case.name, **row} for row in leave_out_parts(case.measure)]
        file.write_text(json.dumps(rows))
    kept: list[Row] = json.loads(file.read_text())
    return kept


def _pivot_measures(rows: list[Row]) -> dict[str, pd.DataFrame]:
    """Return for each measure a table of settings by parts."""
    frame = pd.DataFrame(rows)
    tables = {}
    for measure in MEASURES:
        if measure in frame:
            wide = frame.pivot(index="setting", columns="part", values=measure)
            tables[measure] = wide.dropna().astype(float)
    return tables


def _format_means(tables: dict[str, pd.DataFrame]) -> str:
    lines = []
    for part in FINDER_PARTS:
        line = {"left out": part}
        for measure, table in tables.items():
            line[MEASURES[measure]] = f"{table[part].mean():.3f}"
        if "null_confirmed" in tables:
            has_any = tables["null_confirmed"][part] > 0
            line["null draws with any"] = format_proportion(int(has_any.sum()), len(has_any))
        lines.append(line)
    return format_table(lines)


def _format_differences(tables: dict[str, pd.DataFrame]) -> str:
    lines = []
    for part in FINDER_PARTS:
        if part == FULL_FINDER:
            continue
        line = {"left out": part}
        for measure, table in tables.items():
            mean, low, high = estimate_mean_difference(table[part], table[FULL_FINDER])
            line[MEASURES[measure]] = f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"
        line["settings that differ"] = _count_differing_settings(tables, part)
        lines.append(line)
    return format_table(lines)


def _count_differing_settings(tables: dict[str, pd.DataFrame], part: str) -> str:
    planted = [table for measure, table in tables.items() if measure in PLANTED_MEASURES]
    if not planted:
        return ""
    differs = np.zeros(len(planted[0]), bool)
    for table in planted:
        differs |= ~np.isclose(table[part], table[FULL_FINDER])
    return f"{differs.sum()} of {len(differs)}"


def write_ablation_results(path: Path, rows: list[Row], command: str) -> None:
    """Write the section: figures without each part, and differences to the full finder.

    Args:
        path: the result file.
        rows: a row for each setting or null draw and part.
        command: the command that was run.
    """
    tables = _pivot_measures(rows)
    full_rows = [row for row in rows if row["part"] == FULL_FINDER]
    null_count = sum("null_confirmed" in row for row in full_rows)
    sources = Counter(source for row in full_rows for source in row["sources"])
    source_text = ", ".join(f"{source} {count}" for source, count in sources.most_common())
    parts = [
        f"{time.strftime('%Y-%m-%d')}, `{command}`: {len(full_rows) - null_count} valid settings, "
        f"{null_count} null draws.",
        _format_means(tables),
        "Less the full finder, mean over settings (95 % by paired bootstrap):",
        _format_differences(tables),
        f"Confirmed slices of the full finder by source: {source_text or 'none'}.",
    ]
    write_section(path, "Parts of the slice finder", "\n\n".join(parts))


def main() -> None:
    """Leave out each part on every setting, and write the results after each setting."""
    parser = build_parser(__doc__)
    parser.add_argument("--limit", type=int, default=40, help="valid settings of each data set")
    parser.add_argument("--draws", type=int, default=40, help="null draws of each data set")
    options = parser.parse_args()
    prepare_process()
    command = format_command("tests.bench.slices.ablation")
    rows: list[Row] = []
    for data in options.data:
        for case in list_cases(CleanModel(data, options.cache), options.draws, options.limit):
            began = time.monotonic()
            rows += load_or_measure(case, options.cache)
            write_ablation_results(options.results, rows, command)
            print(f"{case.name}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
