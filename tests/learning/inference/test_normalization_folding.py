from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.learning.inference.normalization_folding import fold_normalization, load_folded_model
from pipeline.learning.models.backbone import build_network, load_frozen_backbone, save_model


class OutOfOrderNetwork(nn.Module):
    """Holds a batch norm behind its convolution, and applies it before."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3)
        self.normalization = nn.BatchNorm2d(3)
        nn.init.constant_(self.normalization.weight, 2.0)
        self.normalization.running_mean = torch.tensor([1.0, -1.0, 0.5])

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = self.convolution(self.normalization(images)).flatten(1)
        return result


def count_norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def test_a_folded_network_has_no_batch_norm_and_equal_outputs() -> None:
    model, _ = load_frozen_backbone()
    folded = fold_normalization(model)
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert count_norms(model) == 49
    assert count_norms(folded) == 0
    with torch.inference_mode():
        torch.testing.assert_close(folded(images), model(images), rtol=1e-3, atol=1e-4)


def test_a_network_that_applies_its_modules_in_another_order_stays() -> None:
    model = OutOfOrderNetwork().eval()
    assert fold_normalization(model, 16) is model
    assert count_norms(model) == 1


def test_a_network_without_batch_norm_stays() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    assert fold_normalization(model, 16) is model


def test_a_saved_model_is_folded_with_its_trained_statistics(tmp_path: Path) -> None:
    model, meta = build_network("test_efficientnet", "none", ["a", "b"], 32, 0.5)
    model.train()(torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(2)) * 3)
    save_model(tmp_path, model, meta)
    folded, loaded_meta = load_folded_model(tmp_path)
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    assert loaded_meta == meta
    assert count_norms(folded) == 0
    with torch.inference_mode():
        torch.testing.assert_close(folded(images), model.eval()(images), rtol=1e-3, atol=1e-4)
