import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import ArrayContract, InputError, RunBusyError
from pipeline.storage import artifact_store
from pipeline.storage.artifact_store import RunFolder

IMAGES = pd.DataFrame(
    {
        "image_id": ["a"],
        "content_hash": ["h"],
        "path": ["a.jpg"],
        "source": ["/a.jpg"],
        "label": ["x"],
        "group": ["g"],
        "captured_at": pd.to_datetime(["2026-01-01"]),
        "width": [4],
        "height": [3],
        "given_split": pd.Series([None], dtype="str"),
    }
)
MADE = {
    "images": IMAGES,
    "rejected": pd.DataFrame({"path": ["b.jpg"], "reason": ["empty"]}),
    "pixels": np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3),
    "classes": {"names": ["x"]},
}


def _run(home: Path) -> RunFolder:
    run = RunFolder.create_run(home, "gate")
    run.save_stage("ingest", MADE, {"key": "k", "went_in": {}, "notes": [], "seconds": 1.0})
    return run


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    run = _run(tmp_path)
    pd.testing.assert_frame_equal(run.load_artifact("images"), IMAGES)
    assert (run.load_artifact("pixels") == MADE["pixels"]).all()
    assert run.load_artifact("classes") == {"names": ["x"]}
    assert artifact_store.list_finished_stages(run) == ["ingest"]
    assert run.is_intact("ingest")


def test_the_whole_of_a_mapped_file_is_linked_and_a_part_of_it_written(tmp_path: Path) -> None:
    np.save(tmp_path / "values.npy", np.arange(12, dtype=np.float32).reshape(4, 3))
    mapped = np.load(tmp_path / "values.npy", mmap_mode="r")
    for name, value in {"whole": mapped, "rows": mapped[1:], "turned": mapped.T}.items():
        artifact_store.write_artifact(
            tmp_path / f"{name}.npy", ArrayContract("float32", ("a", "b")), value
        )
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), value)
    inode = (tmp_path / "values.npy").stat().st_ino
    same = {
        name: (tmp_path / f"{name}.npy").stat().st_ino == inode
        for name in ("whole", "rows", "turned")
    }
    assert same == {"whole": True, "rows": False, "turned": False}


def test_an_altered_artifact_is_noticed(tmp_path: Path) -> None:
    run = _run(tmp_path)
    run.get_artifact_path("classes").write_text('{"names": ["y"]}')
    assert not run.is_intact("ingest")


def test_a_save_that_dies_leaves_the_old_stage_and_no_new_one(tmp_path: Path) -> None:
    run = _run(tmp_path)
    with pytest.raises(TypeError):
        run.save_stage("ingest", {**MADE, "classes": {"names": object()}}, {"key": "other"})
    record = run.read_record("ingest")
    assert record is not None
    assert record["key"] == "k"
    assert run.is_intact("ingest")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    run = _run(tmp_path)
    np.save(run.get_artifact_path("pixels"), np.array([object()], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"pixels\.npy: cannot be read"):
        run.load_artifact("pixels")


def test_a_linked_stage_is_the_same_and_lives_on_when_the_other_run_goes(tmp_path: Path) -> None:
    import shutil

    first, second = _run(tmp_path), RunFolder.create_run(tmp_path, "gate")
    second.link_stage("ingest", first)
    shutil.rmtree(first.path)
    assert second.is_intact("ingest")
    record = second.read_record("ingest")
    assert record is not None
    assert record["linked_from"] == first.run_id


def test_a_missing_artifact_names_its_stage(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run the stage train of this run first"):
        _run(tmp_path).load_artifact("model")


def test_runs_of_another_version_are_refused_by_name_and_passed_over_in_lists(
    tmp_path: Path,
) -> None:
    run, other = _run(tmp_path), RunFolder.create_run(tmp_path, "old")
    (other.path / "run.json").write_text(json.dumps({"schema": 99, "created": "2020"}))
    with pytest.raises(InputError, match="another version of nightshift"):
        RunFolder.open_existing(other.path)
    assert artifact_store.list_runs(tmp_path) == [run]


def test_no_such_run_lists_those_there_are(tmp_path: Path) -> None:
    run = _run(tmp_path)
    with pytest.raises(InputError, match=f"no such run; the latest are: {run.run_id}"):
        RunFolder.open_existing(tmp_path / "nothing")


def _hold(
    path: Path, held: "multiprocessing.synchronize.Event", done: "multiprocessing.synchronize.Event"
) -> None:
    with RunFolder.open_existing(path).hold_lock():
        held.set()
        done.wait(20)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    run, context = _run(tmp_path), multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(run.path, held, done))
    process.start()
    try:
        assert held.wait(30)
        with (
            pytest.raises(
                RunBusyError, match=rf"another process .* \(process {process.pid} on .*\); wait"
            ),
            run.hold_lock(),
        ):
            pass
    finally:
        done.set()
        process.join()
    with run.hold_lock():
        pass


ORPHAN = """
import subprocess, sys
from pathlib import Path
from pipeline.storage.artifact_store import Run
lock = Run.open(Path(sys.argv[1])).lock()
lock.__enter__()
child = subprocess.Popen(["sleep", "60"], close_fds=False)
print(child.pid, flush=True)
input()
"""


def test_a_dead_process_holds_no_lock_but_a_child_of_its_own_does(tmp_path: Path) -> None:
    run = _run(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN, run.path], stdin=-1, stdout=-1, text=True
    ) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        holder.kill()
    try:
        with (
            pytest.raises(InputError, match=f"process {holder.pid} is gone, but .* still works"),
            run.hold_lock(),
        ):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
    for _ in range(100):
        try:
            with run.hold_lock():
                return
        except InputError:
            time.sleep(0.05)
    pytest.fail("the lock of the dead was not let go")


@pytest.mark.parametrize("how", ["cut", "altered", "same size", "missing"])
def test_damage_names_the_file(how: str, tmp_path: Path) -> None:
    run = _run(tmp_path)
    assert run.find_damage("ingest") == ""
    path = run.get_artifact_path("pixels")
    whole = path.read_bytes()
    os.utime(path, (0, 0))
    assert run.find_damage("ingest") == "", "its hash still stands, whenever it was touched"
    after = {"cut": whole[:-7], "altered": whole + b"x", "same size": whole[:-1] + b"x"}
    path.write_bytes(after[how]) if how in after else path.unlink()
    assert run.find_damage("ingest") == f"{path}: " + (
        "missing"
        if how == "missing"
        else "cut short or altered since it was written (hash mismatch)"
    )


def test_a_clock_that_jumps_back_makes_no_run_fall_into_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = time.strftime
    made = []
    for now in (1_800_000_000, 1_000_000_000, 1_800_000_000):
        monkeypatch.setattr(
            artifact_store.time, "strftime", lambda form, now=now: tell(form, time.gmtime(now))
        )
        made.append(RunFolder.create_run(tmp_path, "gate").run_id)
    assert made == ["20270115-080000-gate", "20010909-014640-gate", "20270115-080000-gate-2"]
    assert [r.run_id for r in artifact_store.list_runs(tmp_path)] == [made[2], made[0], made[1]]


def test_scratch_survives_until_the_stage_is_saved_and_belongs_to_its_inputs(
    tmp_path: Path,
) -> None:
    run = RunFolder.create_run(tmp_path, "gate")
    folder = run.prepare_scratch("ingest", "a" * 64)
    (folder / "checkpoint").write_text("1")
    assert (run.prepare_scratch("ingest", "a" * 64) / "checkpoint").exists()
    assert not (run.prepare_scratch("ingest", "b" * 64) / "checkpoint").exists()
    run.save_stage("ingest", MADE, {"key": "b"})
    assert not list(run.path.glob(".work-*"))


def test_only_a_run_in_which_nothing_was_made_is_discarded(tmp_path: Path) -> None:
    started = RunFolder.open_or_create(tmp_path / "started")
    (started.prepare_scratch("ingest", "a" * 12) / "part.npy").touch()
    started.discard_if_empty()
    assert started.path.is_dir(), "its work can be gone on with"
    empty = RunFolder.open_or_create(tmp_path / "empty")
    empty.discard_if_empty()
    assert not empty.path.exists()
