"""Options that the commands of the slice benchmark share."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path

import torch

from pipeline.engine.code_fingerprint import hash_stage_code
from tests.bench.slices.planted_settings import DATA_SETS
from tests.bench.slices.result_sections import RESULTS_FILE


def build_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options `--data`, `--cache` and `--results`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cache = Path(os.environ.get("NIGHTSHIFT_BENCH", "data/bench-slices"))
    parser.add_argument("--data", nargs="+", choices=DATA_SETS, default=list(DATA_SETS))
    parser.add_argument("--cache", type=Path, default=cache, help="folder of kept results")
    parser.add_argument("--results", type=Path, default=RESULTS_FILE, help="result file")
    return parser


def prepare_process() -> None:
    """Use one thread, and show no warnings of libraries."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")


def format_command(module: str) -> str:
    """Return the command line that was given."""
    return f"python -m {' '.join([module, *sys.argv[1:]])}"


def hash_finder_code(*stages: str) -> str:
    """Return a short hash of the code of some stages, for names of kept files."""
    return "".join(hash_stage_code(stage)[:8] for stage in stages or ("cluster", "explain"))
