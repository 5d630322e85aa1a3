import json
import math

from pipeline.integrations.mlflow import mlflow_payload
from pipeline.storage.artifact_store import RunFolder
from tests.integrations.conftest import ENTRIES, Made


def test_a_course_is_told_by_step_and_arm(run_of: Made) -> None:
    run = run_of("a")
    history = run.load_artifact("history")
    train = [
        f for f in mlflow_payload.list_stage_metrics(run, "train") if f.key == "train.holdout.loss"
    ]
    held = history[history["split"] == "holdout"]
    assert [(f.step, f.value) for f in train] == list(zip(held["step"], held["loss"], strict=True))
    arm = [
        (f.step, f.value)
        for f in mlflow_payload.list_stage_metrics(run, "retrain")
        if f.key == "retrain.targeted.1000.loss"
    ]
    assert arm == [(row["step"], row["loss"]) for row in ENTRIES[1]["history"]]
    assert mlflow_payload.RunMetric("seconds.retrain", 1.5) in mlflow_payload.list_stage_metrics(
        run, "retrain"
    )


def test_figures_carry_their_intervals_and_nothing_that_is_no_number(run_of: Made) -> None:
    run = run_of("a")
    found = {f.key: f.value for f in mlflow_payload.list_stage_metrics(run, "report")}
    whole = run.load_artifact("summary")["metrics"]
    for split in ("val", "test"):
        want = whole[split]["accuracy"]["after"]
        got = [found[f"{split}.accuracy.all.after{end}"] for end in ("", ".low", ".high")]
        assert got == [want["value"], want["low"], want["high"]]
    assert all(math.isfinite(value) for value in found.values())
    assert any(key.startswith("slice.s1.excess") for key in found)
    assert "slice.s3.q_value" not in found, "null: not testable"


def test_settings_are_flat_and_those_that_shape_no_result_are_left_out(run_of: Made) -> None:
    flat = mlflow_payload.flatten_settings(run_of("a", whole=False))
    assert flat == {
        "name": "gate",
        "train.epochs": "4",
        "train.model": "new",
        "evaluate.costs": json.dumps({"badge": {"no_badge": 0.1}}),
    }


def test_tags_tell_verdict_and_slices_as_far_as_the_run_came(run_of: Made) -> None:
    assert mlflow_payload.build_result_tags(run_of("half", whole=False)) == {"stages": "3 done"}
    tags = mlflow_payload.build_result_tags(run_of("a"))
    assert tags["verdict"] == "promoted"
    assert tags["slices.confirmed"].split()[0] == "s1"
    assert tags["slice.s1"].startswith("confirmed: ")
    assert tags["slice.s3"].startswith("not testable: ")


def test_a_run_of_the_same_name_made_anew_is_another_one(run_of: Made) -> None:
    run = run_of("a", whole=False)
    first = mlflow_payload.build_identity_tags(run)
    assert first == mlflow_payload.build_identity_tags(RunFolder.open_existing(run.path))
    (run.path / "run.json").write_text(json.dumps({"schema": 1, "created": "2026-01-01 00:00:00"}))
    assert mlflow_payload.build_identity_tags(run)["nightshift.key"] != first["nightshift.key"]
