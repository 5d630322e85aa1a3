"""Averages of trained weights, and points on the line from the model before to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.learning.models.backbone import ModelMetadata, load_model

Weights = dict[str, Tensor]


def average_weights(models: Sequence[Weights]) -> Weights:
    """Return the mean of each floating-point tensor; other tensors are those of the first model.

    Models that were trained briefly from one start lie in one basin, so that their average is as
    good as their ensemble, and depends less on the seed than each of them.

    Source: Wortsman et al. 2022 (model soups).

    Args:
        models: at least one, all of one architecture.
    """
    averages = {}
    for name, tensor in models[0].items():
        if tensor.is_floating_point() and len(models) > 1:
            # Summed in float64: the order of the models must not change the result.
            total = sum(model[name].double() for model in models[1:]) + tensor.double()
            averages[name] = (total / len(models)).to(tensor.dtype)
        else:
            averages[name] = tensor
    return averages


def interpolate_weights(start: Weights, end: Weights, share: float) -> Weights:
    """Return the weights at a share of the way from `start` to `end`.

    Source: Wortsman et al. 2022 (robust fine-tuning of zero-shot models, WiSE-FT).

    Args:
        start: weights at share 0.
        end: weights at share 1; tensors that are not floating-point are taken from it.
        share: 0 to 1.
    """
    mixed = {}
    for name, tensor in end.items():
        if tensor.is_floating_point() and share < 1:
            mixed[name] = start[name].lerp(tensor, share)
        else:
            mixed[name] = tensor
    return mixed


@dataclass(frozen=True)
class WeightMix:
    """The average of trained weights at a share of the way from the model before.

    Attributes:
        start: weights file of the model before.
        files: weights files of the trained models.
        share: 1 for the average itself, 0 for the model before.
    """

    start: Path
    files: tuple[Path, ...]
    share: float

    def load_weights(self) -> Weights:
        """Return the mixed weights."""
        average = average_weights([load_file(file) for file in self.files])
        if self.share == 1:
            return average
        return interpolate_weights(load_file(self.start), average, self.share)

    def load_model(self, folder: Path) -> tuple[nn.Module, ModelMetadata]:
        """Return the mixed model, ready for inference, and the metadata of `folder`.

        Args:
            folder: a model of the same architecture.
        """
        model, meta = load_model(folder, str(self.files[0].resolve()))
        model.load_state_dict(self.load_weights())
        return model, meta
