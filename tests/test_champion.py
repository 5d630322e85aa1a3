import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import champion
from pipeline.contracts import InputError
from pipeline.store import Run


def _run(home: Path, name: str, promoted: bool = True) -> Run:
    """A run that came to promote, with a model of its own."""
    run = Run.begin(home / name)
    folder = home / f"of-{name}"
    folder.mkdir()
    (folder / champion.WEIGHTS).write_text(name)
    run.save("promote", {"verdict": {"promoted": promoted}, "bundle": folder}, {})
    return run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def test_each_promotion_can_be_rolled_back_in_turn_and_every_move_is_on_record(home: Path) -> None:
    for name in ("a", "b", "c"):
        champion.promote(home, _run(home, name, promoted=name != "a"))
    assert (champion.pointer(home) or {})["champion"] == "candidate"
    assert champion.rollback(home) == ("c", "b")
    assert champion.rollback(home) == ("b", "a")
    known = champion.pointer(home) or {}
    assert (known["run_id"], known["champion"]) == ("a", "baseline")
    assert [move["run_id"] for move in known["log"]] == ["a", "b", "c", "b", "a"]
    assert known["log"][-1]["how"] == "rolled back from b"
    assert (champion.in_force(home) or home).joinpath(champion.WEIGHTS).read_text() == "a"
    with pytest.raises(InputError, match="no earlier champion"):
        champion.rollback(home)


def test_promoting_what_is_in_force_changes_nothing(home: Path) -> None:
    run = _run(home, "a")
    champion.promote(home, run)
    before = (home / "champion.json").read_bytes()
    champion.promote(home, run)
    assert (home / "champion.json").read_bytes() == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda run: (run.file("bundle") / champion.WEIGHTS).write_text("x"),
        lambda run: run.file("bundle").rename("gone"),
    ],
)
def test_a_damaged_model_is_not_put_in_force(
    home: Path, spoil: Callable[[Run], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home.parent)
    champion.promote(home, _run(home, "a"))
    before = (home / "champion.json").read_bytes()
    run = _run(home, "b")
    spoil(run)
    with pytest.raises(InputError, match="no whole model"):
        champion.promote(home, run)
    assert (home / "champion.json").read_bytes() == before


def test_a_rollback_to_what_is_gone_leaves_the_pointer(home: Path) -> None:
    champion.promote(home, _run(home, "a"))
    champion.promote(home, _run(home, "b"))
    (home / "a" / "promote" / "bundle" / champion.WEIGHTS).unlink()
    with pytest.raises(InputError, match="is gone"):
        champion.rollback(home)
    assert (champion.pointer(home) or {})["run_id"] == "b"


def test_a_run_keeps_the_champion_that_was_in_force_when_it_began(home: Path) -> None:
    first = Run.begin(home / "first")
    champion.promote(home, _run(home, "a"))
    second = Run.begin(home / "second")
    champion.promote(home, _run(home, "b"))
    assert champion.taken(first.path) is None
    assert (champion.taken(second.path) or {})["run_id"] == "a"
    assert (champion.taken(Run.begin(second.path).path) or {})["run_id"] == "a", "a resume is no new start"
    older = home / "older"
    older.mkdir()
    (older / "run.json").write_text(json.dumps({"schema": 1}))
    assert (champion.taken(older) or {})["run_id"] == "b", "a run of before knows no better"
