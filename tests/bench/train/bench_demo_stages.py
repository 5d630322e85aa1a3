"""Seconds of each stage of the demo in two checkouts, which alternate.

    python -m tests.bench.train.bench_demo_stages BEFORE AFTER [--rounds 3] [--photos 2400]

Both checkouts need their own virtual environment (`make install`). The medians and their ratio are
printed; a stage that only one of them has counts in its sum.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from tests.bench.results_file import format_table


def time_demo(checkout: Path, photo_count: int) -> dict[str, float]:
    """Return the seconds of each stage of a demo in new folders of runs and reports."""
    with TemporaryDirectory() as scratch:
        folders = [f"runs={scratch}/runs", f"reports={scratch}/reports"]
        photos = [f"--photos={photo_count}", f"--data={scratch}/photos"]
        command = [str(checkout / ".venv/bin/nightshift"), "demo", *photos, *folders]
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):  # 1: not promoted
            raise RuntimeError(f"{checkout}: {done.stderr.strip().splitlines()[-1]}")
        seconds = {}
        for file in Path(scratch).glob("runs/*/*/stage.json"):
            seconds[file.parent.name] = float(json.loads(file.read_text())["seconds"])
    return seconds


def main() -> None:
    """Time the demo of both checkouts and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--photos", type=int, default=2400)
    options = parser.parse_args()
    rounds: dict[str, list[dict[str, float]]] = {"before": [], "after": []}
    for _ in range(options.rounds):
        for name, checkout in (("before", options.before), ("after", options.after)):
            rounds[name].append(time_demo(checkout.resolve(), options.photos))
            print(name, round(sum(rounds[name][-1].values()), 1), "s", flush=True)
    table = pd.DataFrame({name: pd.DataFrame(runs).median() for name, runs in rounds.items()})
    table.loc["all stages"] = table.sum()
    table["after / before"] = table["after"] / table["before"]
    shown = table.round(2).reset_index(names="stage").to_dict("records")
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"medians of {options.rounds} rounds in seconds, load {load}\n{format_table(shown)}")


if __name__ == "__main__":
    main()
