import json
import multiprocessing
import os
import shutil
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
        "group_source": ["given"],
        "given_split": pd.Series([None], dtype="str"),
    }
)
OUTPUTS = {
    "images": IMAGES,
    "rejected": pd.DataFrame({"path": ["b.jpg"], "reason": ["empty"]}),
    "pixels": np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3),
    "classes": {"names": ["x"]},
}


def _run(home: Path) -> RunFolder:
    run = RunFolder.create_run(home, "gate")
    run.save_stage("ingest", OUTPUTS, {"key": "k", "went_in": {}, "notes": [], "seconds": 1.0})
    return run


def test_saved_artifacts_are_loaded_again(tmp_path: Path) -> None:
    run = _run(tmp_path)
    pd.testing.assert_frame_equal(run.load_artifact("images"), IMAGES)
    assert (run.load_artifact("pixels") == OUTPUTS["pixels"]).all()
    assert run.load_artifact("classes") == {"names": ["x"]}
    assert artifact_store.list_finished_stages(run) == ["ingest"]
    assert run.is_intact("ingest")


def test_a_mapped_file_is_linked_as_a_whole_and_a_part_of_it_is_written(tmp_path: Path) -> None:
    np.save(tmp_path / "values.npy", np.arange(12, dtype=np.float32).reshape(4, 3))
    mapped = np.load(tmp_path / "values.npy", mmap_mode="r")
    for name, value in {"whole": mapped, "rows": mapped[1:], "transposed": mapped.T}.items():
        artifact_store.write_artifact(
            tmp_path / f"{name}.npy", ArrayContract("float32", ("a", "b")), value
        )
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), value)
    inode = (tmp_path / "values.npy").stat().st_ino
    same = {
        name: (tmp_path / f"{name}.npy").stat().st_ino == inode
        for name in ("whole", "rows", "transposed")
    }
    assert same == {"whole": True, "rows": False, "transposed": False}


def test_an_altered_artifact_is_not_intact(tmp_path: Path) -> None:
    run = _run(tmp_path)
    run.get_artifact_path("classes").write_text('{"names": ["y"]}')
    assert not run.is_intact("ingest")


def test_a_failed_save_leaves_the_old_stage(tmp_path: Path) -> None:
    run = _run(tmp_path)
    with pytest.raises(TypeError):
        run.save_stage("ingest", {**OUTPUTS, "classes": {"names": object()}}, {"key": "other"})
    record = run.read_record("ingest")
    assert record is not None
    assert record["key"] == "k"
    assert run.is_intact("ingest")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    run = _run(tmp_path)
    np.save(run.get_artifact_path("pixels"), np.array([object()], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"pixels\.npy: cannot be read"):
        run.load_artifact("pixels")


def test_a_linked_stage_survives_the_removal_of_its_source_run(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("schema", [1, 99])  # 1: nightshift 0.1
def test_runs_of_another_version_are_refused_in_one_line_and_skipped_in_lists(
    schema: int, tmp_path: Path
) -> None:
    run, other = _run(tmp_path), RunFolder.create_run(tmp_path, "old")
    (other.path / "run.json").write_text(json.dumps({"schema": schema, "created": "2020"}))
    with pytest.raises(
        InputError, match=rf"another version of nightshift \(schema {schema}, "
    ) as caught:
        RunFolder.open_existing(other.path)
    assert "\n" not in str(caught.value)
    assert artifact_store.list_runs(tmp_path) == [run]


def test_the_message_for_an_unknown_run_lists_known_runs(tmp_path: Path) -> None:
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
from pipeline.storage.artifact_store import RunFolder
lock = RunFolder.open_existing(Path(sys.argv[1])).hold_lock()
lock.__enter__()
child = subprocess.Popen(["sleep", "60"], close_fds=False)
print(child.pid, flush=True)
input()
"""


def test_a_dead_process_holds_no_lock_but_its_child_does(tmp_path: Path) -> None:
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
    pytest.fail("the lock of the dead process was not released")


@pytest.mark.parametrize("damage", ["cut", "altered", "same size", "missing"])
def test_damage_names_the_file(damage: str, tmp_path: Path) -> None:
    run = _run(tmp_path)
    assert run.find_damage("ingest") == ""
    path = run.get_artifact_path("pixels")
    whole = path.read_bytes()
    os.utime(path, (0, 0))
    assert run.find_damage("ingest") == "", "its content is the same"
    after = {"cut": whole[:-7], "altered": whole + b"x", "same size": whole[:-1] + b"x"}
    path.write_bytes(after[damage]) if damage in after else path.unlink()
    assert run.find_damage("ingest") == f"{path}: " + (
        "missing"
        if damage == "missing"
        else "cut short or altered since it was written (hash mismatch)"
    )


def test_two_runs_of_the_same_second_get_different_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert = time.gmtime
    made = []
    for now in (1_800_000_000, 1_000_000_000, 1_800_000_000):
        monkeypatch.setattr(artifact_store.time, "gmtime", lambda now=now: convert(now))
        made.append(RunFolder.create_run(tmp_path, "gate").run_id)
    assert made == ["20270115-080000-gate", "20010909-014640-gate", "20270115-080000-gate-2"]
    newest_first = [run.run_id for run in artifact_store.list_runs(tmp_path)]
    assert newest_first == made[::-1], "they are counted, whatever the clock says"


def test_scratch_survives_until_the_stage_is_saved_and_belongs_to_its_inputs(
    tmp_path: Path,
) -> None:
    run = RunFolder.create_run(tmp_path, "gate")
    folder = run.prepare_scratch("ingest", "a" * 64)
    (folder / "checkpoint").write_text("1")
    assert (run.prepare_scratch("ingest", "a" * 64) / "checkpoint").exists()
    assert not (run.prepare_scratch("ingest", "b" * 64) / "checkpoint").exists()
    run.save_stage("ingest", OUTPUTS, {"key": "b"})
    assert not list(run.path.glob(".work-*"))


def test_only_an_empty_run_is_discarded_and_an_empty_folder_of_runs_with_it(tmp_path: Path) -> None:
    started = RunFolder.open_or_create(tmp_path / "started")
    (started.prepare_scratch("ingest", "a" * 12) / "part.npy").touch()
    started.discard_if_empty()
    assert started.path.is_dir(), "its work can be resumed"
    empty = RunFolder.open_or_create(tmp_path / "empty")
    empty.discard_if_empty()
    assert not empty.path.exists()
    assert started.path.is_dir()
    alone = RunFolder.open_or_create(tmp_path / "runs" / "alone")
    alone.discard_if_empty()
    assert not alone.path.parent.exists()
