import subprocess
import sys

from pipeline.graph import ARTIFACTS, STAGES, maker, stage, upstream


def test_every_artifact_is_made_once_and_before_it_is_needed() -> None:
    made: list[str] = []
    for item in STAGES:
        assert set(item.needs) <= set(made), item.name
        made += item.makes
    assert sorted(made) == sorted(ARTIFACTS)


def test_edges_are_derived() -> None:
    assert upstream("ingest") == ()
    assert upstream("promote") == (
        "ingest", "measure", "split", "train", "explain", "prescribe", "retrain", "compare",
    )
    assert maker("pixels") == stage("ingest")


def test_what_has_effects_or_bears_the_runs_name_is_never_linked() -> None:
    assert [s.name for s in STAGES if s.effects or s.identity] == ["compare", "promote", "report"]


def test_reading_the_page_imports_nothing_heavy() -> None:
    code = "import sys, pipeline.graph; print([m for m in ('torch', 'numpy', 'pandas', 'yaml') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
