"""`make bench-slices`: run the finder and its peers on every setting, and write the results.

    python -m tests.bench.slices.run [--causes development|held_out|all] [--limit N]

The outputs of a clean model, the scores of each peer and the slices of the finder are kept in the
cache folder. Those of the finder are kept under the version of its code. A stopped run can
be continued, and a final run joins what several runs computed side by side.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.storage.artifact_store import hash_content
from tests.bench.slices.clean_models import CleanModel
from tests.bench.slices.command_options import (
    build_parser,
    format_command,
    hash_finder_code,
    prepare_process,
)
from tests.bench.slices.finder_runs import build_val, find_held_out_rows, score_typical_images
from tests.bench.slices.held_out_excess import measure_held_out_excess
from tests.bench.slices.metrics import compute_top_precisions
from tests.bench.slices.peer_finders import PEERS, PeerAbsentError, split_parts
from tests.bench.slices.planted_settings import (
    CAUSE_SETS,
    PlantedCase,
    PlantedSetting,
    draw_settings,
    plant_setting,
)
from tests.bench.slices.result_sections import write_slice_results

PEER_MODULE = Path(__file__).with_name("peer_finders.py")
Row = dict[str, Any]


def get_result_file(setting: PlantedSetting, cache: Path, kind: str) -> Path:
    """Return the file that keeps a result of this version of the finder for a setting.

    Args:
        setting: the setting.
        cache: folder of kept results.
        kind: what is kept.
    """
    return cache / kind / f"{setting.name}-{hash_finder_code()}.json"


def load_or_compute(
    file: Path, build_case: Callable[[], PlantedCase], compute: Callable[[PlantedCase], Row]
) -> Row:
    """Return the result in a file; it is computed if the file does not exist.

    Args:
        file: the JSON file.
        build_case: builds the case, if it is needed.
        compute: computes the result of a case.
    """
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(compute(build_case())))
    result: Row = json.loads(file.read_text())
    return result


def measure_peers(case: PlantedCase, cache: Path) -> dict[str, list[float]]:
    """Return the precision at ten of the first three slices of every peer that is installed."""
    outputs = case.outputs
    content = outputs.attributes.to_numpy().tobytes() + outputs.logits.tobytes()
    version = hash_content(PEER_MODULE)[:8] + hashlib.sha256(content).hexdigest()[:8]
    file = cache / "peers" / f"{case.setting.name}-{version}.json"
    precisions: dict[str, list[float]] = json.loads(file.read_text()) if file.exists() else {}
    val = build_val(case)
    held_out_mask = find_held_out_rows(val)
    attributes = val.frame[list(outputs.attributes)].to_numpy(dtype=float)
    fitted, judged = split_parts(
        outputs.features, attributes, outputs.logits, val.labels, held_out_mask
    )
    for name, find_slices in PEERS.items():
        if name in precisions:
            continue
        try:
            scores = find_slices(fitted, judged, 0)
        except PeerAbsentError as error:
            print(f"{name}: absent ({error})", flush=True)
            continue
        precisions[name] = compute_top_precisions(scores, case.is_planted[held_out_mask])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(precisions))
    return precisions


def measure_finder(case: PlantedCase) -> Row:
    """Return the precision at ten of the first slice, and the best of the first three."""
    held_out_mask = find_held_out_rows(build_val(case))
    scores = score_typical_images(case)[held_out_mask]
    precisions = compute_top_precisions(scores, case.is_planted[held_out_mask])
    return {"first": precisions[0], "best": max(precisions)}


def measure_case(case: PlantedCase, cache: Path) -> Row:
    """Return every figure of a setting; of an invalid one only its size and accuracy loss."""
    row: Row = {
        "setting": case.setting.name,
        "cause": case.setting.cause,
        "accuracy_loss": case.accuracy_loss,
        "prevalence": float(case.is_planted.mean()),
        "images": int(case.is_planted.sum()),
        "is_valid": case.is_valid,
    }
    if case.is_valid:
        for kind, measure in (("finder", measure_finder), ("held_out", measure_held_out_excess)):
            file = get_result_file(case.setting, cache, kind)
            row[kind] = load_or_compute(file, lambda: case, measure)
        row["peers"] = measure_peers(case, cache)
    return row


def measure_settings(settings: list[PlantedSetting], cache: Path, only_kept: bool) -> Iterator[Row]:
    """Yield the row of every valid setting; each is printed, valid or not.

    Args:
        settings: the settings.
        cache: folder of kept results.
        only_kept: whether settings without a kept result are left out.
    """
    clean_models = {name: CleanModel(name, cache) for name in {s.data for s in settings}}
    for setting in settings:
        file = get_result_file(setting, cache, "rows")
        if only_kept and not file.exists():
            continue
        build_case = partial(plant_setting, setting, clean_models[setting.data])
        row = load_or_compute(file, build_case, partial(measure_case, cache=cache))
        outcome = f"best {row['finder']['best']:.1f}" if row["is_valid"] else "not valid"
        print(
            f"{setting.name}: {row['images']} images, accuracy loss {row['accuracy_loss']:.1%}, "
            f"{outcome}",
            flush=True,
        )
        if row["is_valid"]:
            yield row


def main() -> None:
    """Measure the settings and write the results."""
    parser = build_parser(__doc__)
    parser.add_argument("--causes", choices=list(CAUSE_SETS), default="development")
    parser.add_argument("--limit", type=int, help="valid settings at most")
    parser.add_argument(
        "--known", action="store_true", help="only what earlier runs left in the cache"
    )
    options = parser.parse_args()
    prepare_process()
    settings = draw_settings(tuple(options.data), CAUSE_SETS[options.causes])
    measured = measure_settings(settings, options.cache, options.known)
    rows = list(islice(measured, options.limit))
    command = format_command("tests.bench.slices.run")
    write_slice_results(options.results, rows, options.causes, command)


if __name__ == "__main__":
    main()
