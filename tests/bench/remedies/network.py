"""The benchmark's small network: five layers, made for 32 px.

Importing this module registers it with timm as `BACKBONE_NAME`.
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
    """Three convolutions, each with pooling, and two dense layers (after LeCun et al. 1998)."""

    def __init__(self, num_classes: int, drop_rate: float, cfg: dict[str, Any]) -> None:
        """Keep `cfg` as `pretrained_cfg`: the product reads the name of the head from it."""
        super().__init__()
        self.num_classes, self.drop_rate, self.pretrained_cfg = num_classes, drop_rate, cfg
        inputs = (3, *WIDTHS)
        blocks = [
            nn.Sequential(
                nn.Conv2d(a, b, 3, padding=1, bias=False),
                nn.BatchNorm2d(b),
                nn.ReLU(),
                nn.MaxPool2d(2),
            )
            for a, b in zip(inputs, WIDTHS, strict=False)
        ]
        self.features = nn.Sequential(*blocks)
        flat_width = WIDTHS[-1] * (SIDE // 2 ** len(WIDTHS)) ** 2
        self.hidden = nn.Sequential(
            nn.Linear(flat_width, HIDDEN, bias=False), nn.BatchNorm1d(HIDDEN), nn.ReLU()
        )
        self.head = nn.Linear(HIDDEN, num_classes)

    def get_classifier(self) -> nn.Module:
        """Return the head, as timm's networks do."""
        return self.head

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, classes] of images, float32 [N, 3, 32, 32]."""
        hidden = self.hidden(self.features(x).flatten(1))
        return cast(Tensor, self.head(F.dropout(hidden, self.drop_rate, self.training)))


def build_five_layers(
    pretrained: bool = False, num_classes: int = 43, drop_rate: float = 0.0, **_: Any
) -> FiveLayers:
    """Return the network, as timm's model functions do."""
    return FiveLayers(num_classes, drop_rate, {"classifier": "head"})


BACKBONE_NAME = build_five_layers.__name__
if not timm.is_model(BACKBONE_NAME):
    timm.models.register_model(build_five_layers)
