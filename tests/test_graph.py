import subprocess
import sys

import pytest

from pipeline.graph import (
    ARTIFACT_CONTRACTS,
    STAGES,
    find_producer,
    get_stage,
    list_upstream_stages,
)


def test_every_artifact_is_made_once_and_before_it_is_needed() -> None:
    made: list[str] = []
    for item in STAGES:
        assert set(item.needs) <= set(made), item.name
        made += item.makes
    assert sorted(made) == sorted(ARTIFACT_CONTRACTS)


def test_edges_follow_from_needs_and_makes() -> None:
    assert list_upstream_stages("ingest") == ()
    assert list_upstream_stages("promote") == (
        "ingest",
        "measure",
        "split",
        "train",
        "explain",
        "prescribe",
        "retrain",
        "compare",
    )
    assert find_producer("pixels") == get_stage("ingest")


def test_stages_with_side_effects_or_the_runs_name_are_never_linked() -> None:
    assert [s.name for s in STAGES if s.has_side_effects or s.is_run_specific] == [
        "compare",
        "promote",
        "report",
    ]


def test_reading_the_graph_imports_nothing_heavy() -> None:
    code = (
        "import sys, pipeline.graph; "
        "print([m for m in ('torch', 'numpy', 'pandas', 'yaml') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_unknown_names_are_key_errors() -> None:
    with pytest.raises(KeyError):
        get_stage("trian")
    with pytest.raises(KeyError):
        find_producer("pixel")
