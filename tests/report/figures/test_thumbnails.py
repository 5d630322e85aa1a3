import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.report.figures.thumbnails import MAX_SIDE_PIXELS, ThumbnailStore, encode_thumbnail


def decode_thumbnail(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))


def make_images(n: int = 6, side: int = 64) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def test_large_images_shrink_small_ones_stay_and_blurring_removes_detail() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert decode_thumbnail(encode_thumbnail(make_images(1, 224)[0], "full")).shape == (
        MAX_SIDE_PIXELS,
        MAX_SIDE_PIXELS,
        3,
    )
    assert decode_thumbnail(encode_thumbnail(stripes, "full")).shape == (64, 64, 3)
    assert (
        decode_thumbnail(encode_thumbnail(stripes, "blurred"))[20:40, 20:40].std()
        < 10
        < decode_thumbnail(encode_thumbnail(stripes, "full")).std()
    )


def test_each_image_is_stored_once() -> None:
    store = ThumbnailStore(make_images(), {f"i{k}": k for k in range(6)})
    store.set_order(["i2", "i0", "i2", "unknown"])
    store.fit_budget(10**6, 0)
    first, again = store.draw_thumbnail("i2", "a"), store.draw_thumbnail("i2", "a")
    assert first.count("base64") == 1
    assert "base64" not in again
    assert store.list_undrawn()[0] is None
    assert decode_thumbnail(store.list_undrawn()[1] or "").shape == (64, 64, 3)


def test_the_most_informative_images_stay_within_the_budget() -> None:
    store = ThumbnailStore(make_images(), {f"i{k}": k for k in range(6)})
    store.set_order(["i5", "i4", "i3"])
    store.fit_budget(len(encode_thumbnail(make_images()[5], "full")) + 150, 100)
    assert list(store.positions) == ["i5"]
    assert "i4" not in store
    assert store.select_stored(["i3", "i5"]) == ["i5"]
    assert "base64" not in store.draw_thumbnail("i4", "left out")


def test_without_images_the_text_remains_and_is_escaped() -> None:
    store = ThumbnailStore(make_images(), {"i0": 0}, "none")
    store.set_order(["i0"])
    store.fit_budget(10**6, 0)
    assert "base64" not in store.draw_thumbnail("i0", "<b>")
    assert "&lt;b&gt;" in store.draw_thumbnail("i0", "<b>")
    assert store.list_undrawn() == [None]


def test_failures_are_shown_as_originals_within_their_share_of_the_budget(tmp_path: Path) -> None:
    large = np.kron(make_images(2, 60), np.ones((1, 4, 4, 1), np.uint8))
    sources = {}
    for number, pixels in enumerate(large):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        sources[f"i{number}"] = str(tmp_path / f"{number}.png")
    store = ThumbnailStore(make_images(2, 60), {"i0": 0, "i1": 1}, "full", sources)
    store.set_order(["i0", "i1"], ["i1"])
    store.fit_budget(10**6, 0)
    small, enlarged = map(decode_thumbnail, map(str, store.list_undrawn()))
    assert small.shape == (60, 60, 3)
    assert enlarged.shape == (240, 240, 3)
    store.fit_budget(30_000, 0)
    shapes = [decode_thumbnail(str(text)).shape[0] for text in store.list_undrawn()]
    assert shapes == [60, 60], "an original that does not fit is shown as it is kept"
