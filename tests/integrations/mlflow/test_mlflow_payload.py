import json
import math

from pipeline.integrations.mlflow import mlflow_payload
from pipeline.storage.artifact_store import SCHEMA_VERSION, RunFolder
from tests.integrations.conftest import ENTRIES, BuildRun


def _list_points(run: RunFolder, stage: str, key: str) -> list[tuple[int, float]]:
    metrics = mlflow_payload.list_stage_metrics(run, stage)
    return [(metric.step, metric.value) for metric in metrics if metric.key == key]


def test_training_curves_have_steps_and_a_key_for_each_split_and_arm(build_run: BuildRun) -> None:
    run = build_run("a")
    history = run.load_artifact("history")
    holdout = history[history["split"] == "holdout"]
    expected = list(zip(holdout["step"], holdout["loss"], strict=True))
    assert _list_points(run, "train", "train.holdout.loss") == expected
    expected = [(row["step"], row["loss"]) for row in ENTRIES[1]["history"]]
    assert _list_points(run, "retrain", "retrain.targeted.1000.loss") == expected
    assert _list_points(run, "retrain", "seconds.retrain") == [(0, 1.5)]


def test_results_have_their_intervals_and_only_finite_numbers(build_run: BuildRun) -> None:
    run = build_run("a")
    metrics = {m.key: m.value for m in mlflow_payload.list_stage_metrics(run, "report")}
    summary = run.load_artifact("summary")
    for split in ("val", "test"):
        accuracy = summary["metrics"][split]["accuracy"]["after"]
        key = f"{split}.accuracy.all.after"
        assert metrics[key] == accuracy["value"]
        assert metrics[f"{key}.low"] == accuracy["low"]
        assert metrics[f"{key}.high"] == accuracy["high"]
    assert all(math.isfinite(value) for value in metrics.values())
    assert any(key.startswith("slice.s1.excess") for key in metrics)
    assert "slice.s3.q_value" not in metrics  # null: the slice could not be tested


def test_settings_are_flat_without_those_that_affect_no_result(build_run: BuildRun) -> None:
    run = build_run("a", is_finished=False)
    assert mlflow_payload.flatten_settings(run) == {
        "name": "gate",
        "train.epochs": "4",
        "train.model": "new",
        "evaluate.costs": json.dumps({"badge": {"no_badge": 0.1}}),
    }


def test_tags_hold_the_verdict_and_the_slices(build_run: BuildRun) -> None:
    run = build_run("a")
    tags = mlflow_payload.build_result_tags(run)
    summary = run.load_artifact("summary")
    assert tags["verdict"] == summary["verdict"]["word"]
    assert tags["headline"] == summary["verdict"]["headline"]
    assert tags["slices.confirmed"].split()[0] == "s1"
    assert tags["slice.s1"].startswith("confirmed: ")
    assert tags["slice.s3"].startswith("not testable: ")


def test_tags_of_an_unfinished_run_hold_its_progress(build_run: BuildRun) -> None:
    run = build_run("half", is_finished=False)
    assert mlflow_payload.build_result_tags(run) == {"stages": "3 done"}


def test_new_run_of_the_same_name_has_another_key(build_run: BuildRun) -> None:
    run = build_run("a", is_finished=False)
    first = mlflow_payload.build_identity_tags(run)
    assert first == mlflow_payload.build_identity_tags(RunFolder.open_existing(run.path))
    (run.path / "run.json").write_text(
        json.dumps({"schema": SCHEMA_VERSION, "created": "2026-01-01 00:00:00"})
    )
    assert mlflow_payload.build_identity_tags(run)["nightshift.key"] != first["nightshift.key"]
