import pytest

from pipeline.engine import run_progress
from pipeline.engine.run_progress import RunProgress, weigh_stages
from pipeline.engine.runner import load_config


class _Clock:
    """A clock that stands until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(run_progress.time, "monotonic", clock)
    return clock


def test_the_estimate_is_of_the_whole_run(clock: _Clock) -> None:
    progress = RunProgress({"train": 10.0, "probe": 30.0, "report": 0.0})
    assert progress.estimate_remaining() is None
    progress.begin_stage("train")
    clock.now = 20.0
    progress.end_stage(is_done=True)
    assert progress.estimate_remaining() == pytest.approx(60)
    progress.begin_stage("probe")
    with progress.count_loop(10) as note_count:
        note_count(5)
        assert progress.estimate_remaining() == pytest.approx(20 * 16.5 / 23.5)
    assert "stage 2 of 3, probe" in progress.describe()


def test_a_stage_that_was_up_to_date_says_nothing_about_the_pace(clock: _Clock) -> None:
    progress = RunProgress({"train": 10.0, "probe": 30.0, "compare": 30.0})
    progress.begin_stage("train")
    progress.end_stage(is_done=False)
    assert progress.estimate_remaining() is None
    progress.begin_stage("probe")
    clock.now = 8.0
    progress.end_stage(is_done=True)
    assert progress.estimate_remaining() == pytest.approx(8)


def test_an_inner_loop_is_a_part_of_an_item_of_the_outer_one(clock: _Clock) -> None:
    progress = RunProgress({"retrain": 10.0})
    progress.begin_stage("retrain")
    clock.now = 9.0
    with progress.count_loop(2) as note_training:
        with progress.count_loop(4) as note_step:
            note_step(4)
        note_training(1)
        assert progress.estimate_remaining() == pytest.approx(9 * 5.5 / 4.5)
        with progress.count_loop(4) as note_step:
            note_step(2)
            assert progress.estimate_remaining() == pytest.approx(9 * 3.25 / 6.75)


def test_more_arms_and_seeds_weigh_more() -> None:
    names = ["train", "retrain"]
    few = weigh_stages(load_config(None, ["retrain.seeds=1", "retrain.generic=false"]), names)
    many = weigh_stages(load_config(None, ["retrain.seeds=5"]), names)
    assert few["train"] == many["train"]
    assert many["retrain"] == pytest.approx(7.5 * few["retrain"])
