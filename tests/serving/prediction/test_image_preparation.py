import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from pipeline.data.reading.image_record import ImageRecord, RejectedFile
from pipeline.domain.rules import Condition, Rule
from pipeline.serving.prediction.image_preparation import (
    MAX_PREFETCHED_IMAGES,
    THREAD_CHUNK_SIZE,
    ImagePreparer,
    PreparedImage,
    split_chunks,
)

RULES = [
    Rule((Condition("luminance", "<=", 45.0), Condition("camera", "is", "east"))),
    Rule((Condition("an image", "near", 0.2),)),
]


def test_chunks_keep_every_item_in_order() -> None:
    assert list(split_chunks(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(split_chunks([], 2)) == []


def test_values_are_those_that_rules_rows_and_the_decline_rule_need() -> None:
    preparer = ImagePreparer(48, RULES, ("hour",), None)
    assert preparer.value_names == ["camera", "hour", "luminance"]
    assert ImagePreparer(48, [], (), 45.0).value_names == ["luminance"]


def test_record_is_letterboxed_with_its_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((30, 60, 3), 90, np.uint8))
    record = ImageRecord(str(path), "a", None, group="g", columns={"camera": "east", "other": 1})
    (image,) = ImagePreparer(48, RULES, (), None).prepare_records([record])
    assert isinstance(image, PreparedImage)
    assert image.pixels.shape == (48, 48, 3)
    assert image.values == {"camera": "east", "luminance": 90.0}
    assert (image.group, image.captured_at) == ("g", None)


def test_many_records_stay_in_order_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((8, 8, 3), 90, np.uint8))
    taken: list[int] = []

    def iterate_records() -> Iterator[ImageRecord | RejectedFile]:
        for k in range(1000):
            taken.append(k)
            yield RejectedFile(str(k), "") if k % 5 == 0 else ImageRecord(str(path), str(k), None)

    thread_count = threading.active_count()
    prepared = ImagePreparer(8, [], (), None).prepare_records(iterate_records())
    assert next(prepared).path == "0"
    assert len(taken) <= MAX_PREFETCHED_IMAGES + 2 * THREAD_CHUNK_SIZE
    assert [item.path for item in prepared] == [str(k) for k in range(1, 1000)]
    assert len(taken) == 1000
    for _ in range(100):  # the pool is shut down when the iterator ends
        if threading.active_count() <= thread_count:
            break
        time.sleep(0.01)
    assert threading.active_count() <= thread_count


def test_images_of_sixteen_bits_are_scaled_as_those_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((8, 8), 2048, np.uint16))
    record = ImageRecord(str(path), "a", None)
    (image,) = ImagePreparer(8, [], (), None, (0, 4095)).prepare_records([record])
    assert isinstance(image, PreparedImage)
    assert image.pixels.max() == 127
    (user_image,) = [ImagePreparer(8, [], (), None, (0, 4095)).prepare_user_image(path, 0)]
    assert isinstance(user_image, PreparedImage)
    assert (user_image.pixels == image.pixels).all()
