from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from pipeline.analysis.given_images import load_table_images
from pipeline.analysis.image_fitting import Geometry, ImageFitting
from pipeline.contracts import InputError
from pipeline.graph import ARTIFACT_CONTRACTS


def _folder(root: Path) -> pd.DataFrame:
    (root / "in").mkdir()
    for k, name in enumerate(("a.png", "b.png", "c.png")):
        cv2.imwrite(str(root / "in" / name), np.full((20, 30, 3), 80 if k < 2 else 200, np.uint8))
    return pd.DataFrame(
        {
            "image_id": ["1", "2", "3"],
            "path": ["in/a.png", "in/b.png", "in/c.png"],
            "label": ["x", "y", "x"],
        }
    )


def test_images_become_the_graphs_artifacts_and_copies_are_one_group(tmp_path: Path) -> None:
    table = _folder(tmp_path).assign(camera=["north", "north", "south"], luminance=[1, 2, 3])
    images, pixels = load_table_images(table, tmp_path / "M.csv", 16)
    dims: dict[str, int] = {}
    ARTIFACT_CONTRACTS["images"].check_value("images", images, dims)
    ARTIFACT_CONTRACTS["pixels"].check_value("pixels", pixels, dims)
    assert images["group"][0] == images["group"][1] != images["group"][2]
    assert pixels[:, 8, 8, 0].tolist() == [80, 80, 200]
    assert list(images.columns[11:]) == ["camera", "luminance_"]


def test_groups_of_the_table_are_kept(tmp_path: Path) -> None:
    images, _ = load_table_images(
        _folder(tmp_path).assign(group=["g", "h", "g"]), tmp_path / "M.csv", 16
    )
    assert images["group"].tolist() == ["g", "h", "g"]


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"", "empty file"), (b"GIF89a nonsense", "not an image"), (None, "cannot be read: No such")],
)
def test_an_unreadable_image_is_named_with_the_reason(
    tmp_path: Path, data: bytes | None, why: str
) -> None:
    table = _folder(tmp_path)
    broken = tmp_path / "in" / "b.png"
    broken.unlink() if data is None else broken.write_bytes(data)
    with pytest.raises(
        InputError, match=f"1 of 3 images cannot be used, first .*b.png \\({why}"
    ) as error_info:
        load_table_images(table, tmp_path / "M.csv", 16)
    assert "\n" not in str(error_info.value)


def test_a_models_own_fitting_is_applied(tmp_path: Path) -> None:
    table = _folder(tmp_path)
    (tmp_path / "in" / "a.png").unlink()
    wide = np.zeros((20, 40, 3), np.uint8)
    wide[:, 10:30] = 200
    cv2.imwrite(str(tmp_path / "in" / "a.png"), wide)
    manifest = tmp_path / "M.csv"
    _, boxed = load_table_images(table, manifest, 16)
    fitting = ImageFitting(Geometry.CENTER_CROP)
    _, cropped = load_table_images(table, manifest, 16, fitting=fitting)
    assert boxed[0].min() == 0
    assert cropped[0].min() > 150
