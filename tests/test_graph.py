import subprocess
import sys

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


def test_edges_are_derived() -> None:
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


def test_what_has_effects_or_bears_the_runs_name_is_never_linked() -> None:
    assert [s.name for s in STAGES if s.has_side_effects or s.is_run_specific] == [
        "compare",
        "promote",
        "report",
    ]


def test_reading_the_page_imports_nothing_heavy() -> None:
    code = "import sys, pipeline.graph; print([m for m in ('torch', 'numpy', 'pandas', 'yaml') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
