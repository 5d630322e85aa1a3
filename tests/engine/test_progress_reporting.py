import io

import pytest
from rich.console import Console

from pipeline.engine import progress_reporting
from pipeline.engine.run_progress import RunProgress


def test_every_item_is_yielded_in_order() -> None:
    track = progress_reporting.create_tracker("train")
    assert list(track(range(5), total=5, unit="steps")) == list(range(5))
    assert list(track([], total=0, unit="steps")) == []


def test_plain_lines_show_progress_rate_and_remaining_time(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(progress_reporting.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(progress_reporting, "log_line", lines.append)
    track = progress_reporting.create_tracker("train")
    assert sum(1 for _ in track(range(6), total=6, unit="images")) == 6
    assert lines == [
        "  train: 2 of 6 images, 0.2/s, 24 s left",
        "  train: 4 of 6 images, 0.2/s, 12 s left",
    ]


def test_items_of_unknown_number_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(progress_reporting.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(progress_reporting, "log_line", lines.append)
    assert list(progress_reporting.iterate_with_count("predict", iter("abc"), "images")) == [
        "a",
        "b",
        "c",
    ]
    assert lines == ["  predict: 2 images, 0.2/s", "  predict: 3 images in 24.0 s"]
    assert list(progress_reporting.iterate_with_count("predict", iter(()), "images")) == []


def test_a_terminal_is_never_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage without a loop shows the time; loops show their units and the run's estimate."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=160)
    monkeypatch.setattr(progress_reporting, "console", console)
    monkeypatch.setattr(progress_reporting.sys.stderr, "isatty", lambda: True, raising=False)
    run = RunProgress({"train": 1.0, "retrain": 1.0})
    track = progress_reporting.create_tracker("retrain")
    with progress_reporting.show_run(run):
        run.begin_stage("train")
        run.end_stage(is_done=True)
        run.begin_stage("retrain")
        for _ in track(range(2), total=2, unit="steps of the control arm with seed 7"):
            assert progress_reporting._display.bars is not None
            progress_reporting._display.bars.refresh()
    assert "stage 2 of 2, retrain" in text.getvalue()
    assert "left in the run" in text.getvalue()
    assert "steps of the control arm with seed 7" in text.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_work_without_a_loop_is_shown_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=is_terminal, width=80)
    monkeypatch.setattr(progress_reporting, "console", console)
    monkeypatch.setattr(progress_reporting.sys.stderr, "isatty", lambda: is_terminal, raising=False)
    with progress_reporting.show_status("the run is logged"):
        pass
    assert ("the run is logged" in output.getvalue()) == is_terminal
