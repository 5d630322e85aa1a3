"""`make bench-remedies`: what the prescribed remedy closes of the gap to real dark images, against generic policies.

    python -m tests.bench.remedies.run                           everything, on real traffic signs by day and night
    python -m tests.bench.remedies.run --arms control targeted   a part; what is there already is kept and written too
    python -m tests.bench.remedies.run --seeds 5 --placebos 0 20
    python -m tests.bench.remedies.run --arms --planted fog-1 --planted-seeds 2    one setting of the planted suite

Every arm: the same start (a small network trained by day at 32 px), the same passes and schedule. --cache keeps the
run, the weights and the answers, so that parts add up.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.bench.remedies.arms import ARMS, answers
from tests.bench.remedies.figures import Right, accuracy, closure, gain
from tests.bench.remedies.gate import as_prescribed, placebo_promoted, promoted
from tests.bench.remedies.planted import Planted, setting
from tests.bench.remedies.protocol import Protocol
from tests.bench.sections import write_section
from tests.bench.slices.causes import HELD_OUT
from tests.bench.slices.figures import exact, table

HERE = Path(__file__).parent
COUNTS = 0.1  # gain of the oracle from which a setting counts
GATED = ("targeted", "wrong remedy")
PLANTED = ": held-out causes in lit images of val and of the test, none in train; the day's model and its stages."
CLOSING = ("control", "targeted", "oracle")


def _rows(protocol: Protocol, right: Right) -> list[dict[str, Any]]:
    groups, rows = protocol.images["group"].to_numpy(dtype=str)[protocol.test], []
    for arm in right:
        row: dict[str, Any] = {"arm": arm, "seeds": len(right[arm])}
        row |= {
            name: f"{accuracy(right[arm], inside):.3f}" for name, inside in protocol.parts.items()
        }
        if arm != "targeted" and "targeted" in right:
            more = gain(right, "targeted", arm, protocol.parts["dark"], groups)
            row["targeted less it, dark"] = (
                f"{100 * more.mean:+.1f} ({100 * more.low:+.1f} to {100 * more.high:+.1f})"
            )
        rows.append({**row, "targeted less it, dark": row.get("targeted less it, dark", "")})
    return rows


def _told(protocol: Protocol, right: Right, gates: dict[str, str]) -> list[str]:
    dark, groups = (
        protocol.parts["dark"],
        protocol.images["group"].to_numpy(dtype=str)[protocol.test],
    )
    plan = protocol.plan
    strengths = (
        plan.groupby(["slice", "remedy", "strength_low", "strength_high"]).size().reset_index()
    )
    given = [
        f"{r.remedy} {r.strength_low:.3g} to {r.strength_high:.3g} for {r.slice}"
        for r in strengths.itertuples()
    ]
    lines = [f"- prescribed by the product: {'; '.join(given) or 'nothing'}"]
    if {"control", "targeted", "oracle"} <= set(right):
        reach = accuracy(right["oracle"], dark) - accuracy(right["control"], dark)
        counts = (
            "it counts" if reach >= COUNTS else "below the 10 points from which a setting counts"
        )
        share, low, high = closure(right, dark, groups)
        lines.append(f"- the oracle gains {100 * reach:.1f} points on dark images: {counts}")
        lines.append(
            f"- closure {share:.0%}, 95 % interval {low:.0%} to {high:.0%} by track and seed"
        )
        for part in ("all", "lit"):
            more = gain(right, "targeted", "control", protocol.parts[part], groups)
            said = f"{100 * more.mean:+.1f} points, at least {100 * more.bound:+.1f}"
            lines.append(f"- {part}: targeted less control {said}")
    lines += [f"- gate, {arm}: {outcome}" for arm, outcome in gates.items()]
    return lines


def _gates(protocol: Protocol, right: Right, folder: Path) -> dict[str, str]:
    """What the gate says of the targeted arm and of the wrong remedy, over the seeds that are there."""
    found = {}
    for arm in GATED:
        if arm in right and "control" in right:
            seeds = range(min(len(right[arm]), len(right["control"])))
            files = {"control": "control", "targeted": arm}
            weights = {
                k: [(s, folder / f"{name}-{s}.safetensors") for s in seeds]
                for k, name in files.items()
            }
            yes, how = promoted(protocol, as_prescribed(protocol), weights)
            found[arm] = f"{'promoted' if yes else 'not promoted'} ({how}), {len(seeds)} seeds"
    return found


def _placebos(options: argparse.Namespace, protocol: Protocol, folder: Path) -> list[str]:
    """Those asked for where they are not known yet.

    Then what is known of all, by the seeds of each.
    """
    seeds = options.placebo_seeds
    file = folder / f"placebos-{seeds}.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    for number in range(*options.placebos):
        if str(number) not in known:
            known[str(number)] = placebo_promoted(protocol, number, seeds, folder)
            print(
                f"placebo {number}: {'promoted' if known[str(number)] else 'refused'}", flush=True
            )
            file.write_text(json.dumps(known))
    told = []
    for file in sorted(folder.glob("placebos-*.json")):
        outcomes, pairs = json.loads(file.read_text()), file.stem.rsplit("-", 1)[1]
        said = exact(sum(outcomes.values()), len(outcomes))
        told.append(f"- placebos promoted: {said}, pairs of arms for each: {pairs}")
    return told


def _reached(case: Planted, seeds: int, folder: Path) -> dict[str, Any]:
    """Closure of one planted cause over these seeds, and what the oracle gains."""
    right = {
        a: np.stack([answers(case, a, s, folder / "arms") for s in range(seeds)]) for a in CLOSING
    }
    inside, groups = case.parts["planted"], case.images["group"].to_numpy(dtype=str)[case.test]
    reach = accuracy(right["oracle"], inside) - accuracy(right["control"], inside)
    share = dict(zip(("closure", "low", "high"), closure(right, inside, groups), strict=True))
    told = {
        f"{part}, {arm}": accuracy(right[arm], mask)
        for part, mask in case.parts.items()
        for arm in right
    }
    return {"seeds": seeds, "oracle": reach, "n": int(inside.sum()), **share, **told}


def _suite(options: argparse.Namespace, protocol: Protocol) -> list[dict[str, Any]]:
    """What is known of each planted setting.

    Those asked for are measured where they are not known yet.
    """
    folder = options.cache / "planted"
    folder.mkdir(exist_ok=True)
    for name in options.planted:
        cause, severity = name.rsplit("-", 1)
        file = folder / f"{name}.json"
        known = json.loads(file.read_text()) if file.exists() else {}
        if known.get("seeds", -1) < options.planted_seeds:
            case = setting(protocol, cause, int(severity), folder)
            case.prescribe()
            known = {"cause": cause, "severity": int(severity), "seeds": 0, **case.found}
            if options.planted_seeds and known["given"]:
                known |= _reached(case, options.planted_seeds, folder / name)
            file.write_text(json.dumps(known))
        print(name, known, flush=True)
    return [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]


def _planted_told(found: list[dict[str, Any]]) -> list[str]:
    """The suite's table and its figures."""
    rows = []
    for f in found:
        strengths = " to ".join(f"{d:.3g}" for d in f["strengths"])
        row = {
            "planted": f"{f['cause']} {('moderate', 'severe')[f['severity']]}",
            "images": f["images"],
        }
        row |= {
            "accuracy lost": f"{100 * f['drop']:.1f}",
            "confirmed": "yes" if f["confirmed"] else "no",
        }
        row |= {
            "given": f"{f['given']} {strengths}" if f["given"] else "",
            "right": "yes" if f["right"] else "no",
        }
        closed = f"{f['closure']:.0%} ({f['low']:.0%} to {f['high']:.0%})" if f["seeds"] else ""
        rows.append(
            {
                **row,
                "oracle gains": f"{100 * f['oracle']:.1f}" if f["seeds"] else "",
                "closure": closed,
            }
        )
    confirmed = [f for f in found if f["confirmed"] and f["drop"] >= COUNTS]
    right = exact(sum(f["right"] for f in confirmed), len(confirmed))
    said = f"- right remedy prescribed first in confirmed planted slices (accuracy lost at least 10 points): {right}"
    return [table(rows), said] if found else []


def _asked() -> argparse.Namespace:
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    asked.add_argument(
        "--data", type=Path, default=Path(os.environ.get("NIGHTSHIFT_GTSRB", "data/gtsrb"))
    )
    asked.add_argument(
        "--cache",
        type=Path,
        default=Path(os.environ.get("NIGHTSHIFT_BENCH", "data/bench-remedies")),
    )
    asked.add_argument("--arms", nargs="*", choices=list(ARMS), default=list(ARMS))
    asked.add_argument("--seeds", type=int, default=5)
    asked.add_argument("--passes", type=int, default=6_000)
    asked.add_argument("--placebos", type=int, nargs=2, default=[0, 100], metavar=("FIRST", "LAST"))
    every = [f"{cause}-{severity}" for cause in HELD_OUT for severity in (0, 1)]
    asked.add_argument(
        "--placebo-seeds",
        type=int,
        default=5,
        help="pairs of arms of each placebo, as of every arm",
    )
    asked.add_argument(
        "--planted", nargs="*", choices=every, default=every, metavar="CAUSE-SEVERITY"
    )
    asked.add_argument("--planted-seeds", type=int, default=2)
    asked.add_argument("--gates", action=argparse.BooleanOptionalAction, default=True)
    asked.add_argument("--results", type=Path, default=HERE.parent / "RESULTS.md")
    return asked.parse_args()


def main() -> None:
    """Run and write."""
    options = _asked()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    protocol = Protocol(options.data, options.cache, options.passes)
    folder = options.cache / "arms"
    for seed in range(options.seeds):
        for arm in options.arms:
            answers(protocol, arm, seed, folder)
            print(f"seed {seed}, {arm}", flush=True)
    there = {arm: [s for s in range(50) if (folder / f"{arm}-{s}.npy").exists()] for arm in ARMS}
    right = {
        arm: np.stack([answers(protocol, arm, s, folder) for s in seeds])
        for arm, seeds in there.items()
        if seeds
    }
    head = f"{time.strftime('%Y-%m-%d')}, `python -m {' '.join(['tests.bench.remedies.run', *sys.argv[1:]])}`"
    known = _placebos(options, protocol, folder)
    suite = _planted_told(_suite(options, protocol))
    if suite:
        write_section(
            options.results, "Remedies for planted causes", "\n\n".join([head + PLANTED, *suite])
        )
    parts, groups = protocol.parts, protocol.images["group"].to_numpy(dtype=str)[protocol.test]
    tracks = {k: len(np.unique(groups[v])) for k, v in parts.items()}
    counts = ", ".join(f"{int(v.sum()):,} {k} of {tracks[k]} tracks" for k, v in parts.items())
    about = [
        f"{head}: GTSRB trained by day, {options.passes:,} passes for each arm, five-layer network "
        "at 32 px.",
        f"Test images: {counts}.",
    ]
    if known:
        write_section(options.results, "Placebos", "\n\n".join([*about, "\n".join(known)]))
    told = _told(protocol, right, _gates(protocol, right, folder) if options.gates else {})
    text = [
        *about,
        "Accuracies are means over seeds.",
        table(_rows(protocol, right)),
        "\n".join(told),
    ]
    if right:
        write_section(options.results, "Remedies", "\n\n".join(text))
    print("\n\n".join([*suite, *text]))


if __name__ == "__main__":
    main()
