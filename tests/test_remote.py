import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import remote
from pipeline.contracts import Busy, InputError
from pipeline.evidence.ledger import open_test
from pipeline.remote import Moved, Remote

PLACE = "s3://gate/all runs/night"


@pytest.fixture
def store(bucket: Any) -> Remote:
    return Remote(PLACE)


@pytest.fixture
def machine(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """`machine(name)`: the working copy that a machine of this name has; it is this one from now on."""

    def change(name: str) -> Path:
        monkeypatch.setenv("NIGHTSHIFT_CACHE", str(tmp_path / name))
        return Path(remote.working_copy(PLACE))

    return change


def test_an_address_and_its_working_copy_name_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHIFT_CACHE", str(tmp_path))
    folder = remote.working_copy(PLACE + "/")
    assert folder.is_relative_to(tmp_path)
    assert remote.address(folder) == PLACE
    assert "%" not in str(folder), "MLflow would take it for an escape in its database's address"
    assert remote.address(remote.working_copy("s3://b/a=b%20")) == "s3://b/a=b%20"
    assert remote.of(tmp_path / "runs") is None
    assert (remote.working_copy("runs"), remote.address(Path("runs"))) == ("runs", "runs")
    for place in ("gs://gate/runs", "s3://", "s3:///"):
        with pytest.raises(InputError, match="under s3://BUCKET/FOLDER"):
            remote.working_copy(place)


def test_an_object_is_swapped_only_for_what_was_read(store: Remote) -> None:
    assert store.read("a") is None
    store.swap("a", b"one", None)
    _, tag = store.read("a") or (b"", "")
    store.swap("a", b"two", tag)
    for old in (None, tag):
        with pytest.raises(Moved):
            store.swap("a", b"three", old)
    assert (store.read("a") or (b"",))[0] == b"two"
    store.swap("a", b"two", tag)  # an answer that was lost: it stands already
    store.remove("a", "never there")
    with pytest.raises(Moved):
        store.swap("a", b"three", tag)


def test_what_a_store_does_not_do_is_one_line(store: Remote, bucket: Any) -> None:
    with pytest.raises(InputError, match="make it first"):
        Remote("s3://no-such/runs").swap("a", b"", None)
    with pytest.raises(InputError, match="make it first"):
        Remote("s3://no-such/runs").write("a", b"")
    assert Remote("s3://gate/empty").names() == Remote("s3://gate/empty").folders() == []
    bucket[1]()
    with pytest.raises(ConnectionError, match="s3://gate/all runs/night/a: the store does not answer"):
        store.read("a")


def test_a_lock_is_held_by_one_outlives_its_lease_while_renewed_and_ends_with_its_holder(
    store: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "LEASE", 0.8)
    with store.lock("r/lock.json"):
        time.sleep(1.6)
        with monkeypatch.context() as other:
            other.setattr(remote, "HOLDER", "process 1 on elsewhere")
            with (
                pytest.raises(Busy, match=r"process \d+ on .* is at work in this run"),
                store.lock("r/lock.json"),
            ):
                pass
    assert store.read("r/lock.json") is None
    dead = {"holder": "process 1 on elsewhere", "until": time.time() - 1}
    store.write("r/lock.json", json.dumps(dead).encode())
    with store.lock("r/lock.json"):
        assert store.holds("r/lock.json")
        store.write("r/lock.json", json.dumps(dead | {"until": time.time() + 60}).encode())
        assert not store.holds("r/lock.json"), "somebody else took over"
    assert json.loads((store.read("r/lock.json") or (b"",))[0])["holder"] == dead["holder"], "and keeps it"


def test_of_two_changes_at_once_one_stands_and_the_other_is_undone(machine: Callable[[str], Path]) -> None:
    here, there = machine("a"), machine("b")
    with remote.shared(here / "x.json"):
        (here / "x.json").write_text("first")

    def both() -> None:
        with remote.shared(here / "x.json"):
            (here / "x.json").write_text("late")
            with remote.shared(there / "x.json"):
                assert (there / "x.json").read_text() == "first"
                (there / "x.json").write_text("soon")

    with pytest.raises(InputError, match=r"night/x\.json: another machine changed it at this moment; call again"):
        both()
    assert (here / "x.json").read_text() == (there / "x.json").read_text() == "soon"
    with remote.shared(here / "x.json"):
        pass
    remote.freshen(there / "x.json")
    assert (there / "x.json").read_text() == "soon"


def test_the_ledger_counts_openings_over_all_machines(machine: Callable[[str], Path]) -> None:
    openings = [open_test(machine(name) / "ledger.jsonl", name, ["g1", "g2"], "x") for name in ("a", "b", "a")]
    assert [(o.number, o.reused) for o in openings] == [(1, False), (2, False), (1, True)]
