import pytest

from pipeline.engine import progress_reporting


def test_every_item_comes_through_in_order() -> None:
    track = progress_reporting.create_tracker("train")
    assert list(track(range(5), total=5, unit="steps")) == list(range(5))
    assert list(track([], total=0, unit="steps")) == []


def test_plain_lines_tell_how_far_how_fast_and_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(progress_reporting.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(progress_reporting, "log_line", said.append)
    assert (
        sum(1 for _ in progress_reporting._iterate_with_lines("train", range(6), 6, "images")) == 6
    )
    assert said == [
        "  train: 2 of 6 images, 0.2/s, 24 s left",
        "  train: 4 of 6 images, 0.2/s, 12 s left",
    ]


def test_work_whose_end_is_not_known_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(progress_reporting.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(progress_reporting, "log_line", said.append)
    assert list(progress_reporting.iterate_with_count("predict", iter("abc"), "images")) == [
        "a",
        "b",
        "c",
    ]
    assert said == ["  predict: 2 images, 0.2/s", "  predict: 3 images in 24.0 s"]
    assert list(progress_reporting.iterate_with_count("predict", iter(()), "images")) == []
