"""The benchmark's small network: five layers, made for 32 px.

Timm knows it by `NAME` once this module is imported.
"""

from __future__ import annotations

from typing import Any, cast

import timm.models
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (24, 48, 96)
HIDDEN = 256
SIDE = 32


class FiveLayers(nn.Module):
    """Three convolutions, each halved by pooling, and two dense layers (after LeCun et al. 1998)."""

    def __init__(self, num_classes: int, drop_rate: float, cfg: dict[str, Any]) -> None:
        """cfg: kept as `pretrained_cfg`, where the product looks for the head's name."""
        super().__init__()
        self.num_classes, self.drop_rate, self.pretrained_cfg = num_classes, drop_rate, cfg
        inputs = (3, *WIDTHS)
        parts = [
            nn.Sequential(
                nn.Conv2d(a, b, 3, padding=1, bias=False),
                nn.BatchNorm2d(b),
                nn.ReLU(),
                nn.MaxPool2d(2),
            )
            for a, b in zip(inputs, WIDTHS, strict=False)
        ]
        self.features = nn.Sequential(*parts)
        flat = WIDTHS[-1] * (SIDE // 2 ** len(WIDTHS)) ** 2
        self.hidden = nn.Sequential(
            nn.Linear(flat, HIDDEN, bias=False), nn.BatchNorm1d(HIDDEN), nn.ReLU()
        )
        self.head = nn.Linear(HIDDEN, num_classes)

    def get_classifier(self) -> nn.Module:
        """As timm's networks."""
        return self.head

    def forward(self, x: Tensor) -> Tensor:
        """float32 [N, 3, 32, 32] to [N, classes]."""
        seen = self.hidden(self.features(x).flatten(1))
        return cast(Tensor, self.head(F.dropout(seen, self.drop_rate, self.training)))


def five_layers(
    pretrained: bool = False, num_classes: int = 43, drop_rate: float = 0.0, **_: Any
) -> FiveLayers:
    """As timm's model functions."""
    return FiveLayers(num_classes, drop_rate, {"classifier": "head"})


NAME = five_layers.__name__
if not timm.is_model(NAME):
    timm.models.register_model(five_layers)
