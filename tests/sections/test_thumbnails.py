import base64
import io

import numpy as np
from PIL import Image

from pipeline.sections.thumbnails import SIDE, Photos, encode


def decoded(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))


def photos(n: int = 6, side: int = 64) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def test_large_photos_are_reduced_small_ones_kept_and_blurring_takes_the_detail_away() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert decoded(encode(photos(1, 224)[0], "full")).shape == (SIDE, SIDE, 3)
    assert decoded(encode(stripes, "full")).shape == (64, 64, 3)
    assert decoded(encode(stripes, "blurred"))[20:40, 20:40].std() < 10 < decoded(encode(stripes, "full")).std()


def test_each_photo_is_stored_once() -> None:
    store = Photos(photos(), {f"i{k}": k for k in range(6)})
    store.choose(["i2", "i0", "i2", "unknown"])
    store.fit(10**6, 0)
    first, again = store.img("i2", "a"), store.img("i2", "a")
    assert first.count("base64") == 1
    assert "base64" not in again
    assert store.hidden()[0] is None
    assert decoded(store.hidden()[1] or "").shape == (64, 64, 3)


def test_the_most_informative_photos_stay_within_the_budget() -> None:
    store = Photos(photos(), {f"i{k}": k for k in range(6)})
    store.choose(["i5", "i4", "i3"])
    store.fit(len(encode(photos()[5], "full")) + 150, 100)
    assert list(store.position) == ["i5"]
    assert "i4" not in store
    assert store.known(["i3", "i5"]) == ["i5"]
    assert "base64" not in store.img("i4", "left out")


def test_without_photos_only_words_remain_and_they_are_escaped() -> None:
    store = Photos(photos(), {"i0": 0}, "none")
    store.choose(["i0"])
    store.fit(10**6, 0)
    assert "base64" not in store.img("i0", "<b>")
    assert "&lt;b&gt;" in store.img("i0", "<b>")
    assert store.hidden() == [None]
