from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.contracts import InputError
from pipeline.learning.models.external_model import scale_pixels
from pipeline.learning.models.program_model import load_program_model

PIXELS = np.random.default_rng(0).integers(0, 256, (70, 16, 16, 3)).astype(np.uint8)


class _Means(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))


def _export(path: Path, shape: tuple[int, ...], *, is_free: bool = True) -> Path:
    dimensions = {0: torch.export.Dim("batch", min=1)} if is_free else None
    program = torch.export.export(
        _Means(), (torch.zeros(shape),), dynamic_shapes=(dimensions,) if is_free else None
    )
    torch.export.save(program, path)
    return path


@pytest.mark.parametrize("is_free", [True, False])
def test_scores_are_those_of_the_program_whatever_its_batch(tmp_path: Path, is_free: bool) -> None:
    path = _export(tmp_path / "m.pt2", (4, 3, 16, 16), is_free=is_free)
    model = load_program_model(path, 224)
    assert model.side == 16
    for scaling in model.scalings:
        expected = scale_pixels(PIXELS, scaling).mean((1, 2))
        assert model.predict_scores(PIXELS, scaling) == pytest.approx(expected, abs=1e-3)


def test_another_form_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\[N, 3, S, S\] is needed"):
        load_program_model(_export(tmp_path / "m.pt2", (2, 1, 16, 16)), 224)
    (tmp_path / "x.pt2").write_bytes(b"none")
    with pytest.raises(InputError, match=r"x\.pt2"):
        load_program_model(tmp_path / "x.pt2", 224)
