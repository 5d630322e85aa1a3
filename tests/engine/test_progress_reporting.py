import pytest

from pipeline.engine import progress_reporting


def test_every_item_is_yielded_in_order() -> None:
    track = progress_reporting.create_tracker("train")
    assert list(track(range(5), total=5, unit="steps")) == list(range(5))
    assert list(track([], total=0, unit="steps")) == []


def test_plain_lines_show_progress_rate_and_remaining_time(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(progress_reporting.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(progress_reporting, "log_line", lines.append)
    assert (
        sum(1 for _ in progress_reporting._iterate_with_lines("train", range(6), 6, "images")) == 6
    )
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
