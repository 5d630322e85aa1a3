import cv2
import numpy as np
import pytest

from pipeline.attributes import DecodedImage
from pipeline.attributes.detail_limit import measure
from tests.helpers.real_windows import OTHER_CONDITIONS, compute_rank_auc, draw_windows, enlarge


@pytest.mark.parametrize("factor", [1.5, 2.0, 3.0])
def test_enlarged_images_are_coarse(factor: float) -> None:
    plain = draw_windows()
    assert compute_rank_auc(measure, plain, [enlarge(image, factor) for image in plain]) < 0.1


def test_light_color_contrast_and_bars_leave_it_alone() -> None:
    plain = draw_windows()
    for name in ("dark", "warm", "flat", "foggy", "barred"):
        changed = [OTHER_CONDITIONS[name](image) for image in plain]
        assert 0.4 < compute_rank_auc(measure, plain, changed) < 0.6, name


def test_one_coarse_axis_is_enough() -> None:
    fine = np.random.default_rng(0).integers(0, 256, (64, 64, 1), dtype=np.uint8).repeat(3, 2)
    for part in (fine[:32], fine[:, :32]):
        enlarged = cv2.resize(part, (64, 64), interpolation=cv2.INTER_CUBIC)
        assert measure(DecodedImage(enlarged, None, 64, 64)) < 75
    assert measure(DecodedImage(fine, None, 64, 64)) > 90


def test_unknown_where_the_image_was_reduced_is_small_or_flat(scene: np.ndarray) -> None:
    assert np.isnan(measure(DecodedImage(scene, None, 256, 192)))
    assert np.isnan(measure(DecodedImage(np.ascontiguousarray(scene[:15]), None, 128, 15)))
    assert np.isnan(measure(DecodedImage(np.full((64, 64, 3), 90, np.uint8), None, 64, 64)))
