"""What a device offers a training, as one pure function of the card; and how it is put to use."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, cast

import torch

RESIDENT = 0.5  # of the GPU's free memory that the photos may take; the step needs the rest
SAVED, COMPILING = 0.1, 120.0  # share of a step that compiling saves, and seconds that it takes: held low and high


@dataclass(frozen=True)
class Card:
    """A device. capability: CUDA's compute capability, None for the CPU. free: bytes of its memory."""

    capability: tuple[int, int] | None = None
    free: int = 0


@dataclass(frozen=True)
class Means:
    """What of a device is used.

    autocast: type of the network's arithmetic, None for float32. scaled: whether gradients would vanish in it unless
    the loss is scaled (Micikevicius et al. 2018). tf32: whether float32 matrices may be multiplied in TF32. resident:
    whether the photos lie on the device.
    """

    autocast: torch.dtype | None = None
    scaled: bool = False
    tf32: bool = False
    resident: bool = False


def card(device: torch.device) -> Card:
    """What `device` is."""
    if device.type != "cuda":
        return Card()
    return Card(torch.cuda.get_device_capability(device), torch.cuda.mem_get_info(device)[0])


def means(card: Card, pixels: int) -> Means:
    """What of a card is used for photos of so many bytes.

    bfloat16 and TF32 from compute capability 8.0 (Ampere), float16 with a scaled loss from 7.0 (tensor cores), float32
    below, where half precision is no faster, and on the CPU, where results are the same to the bit.
    """
    if card.capability is None:
        return Means()
    resident = pixels <= RESIDENT * card.free
    if card.capability >= (8, 0):
        return Means(torch.bfloat16, tf32=True, resident=resident)
    if card.capability >= (7, 0):
        return Means(torch.float16, scaled=True, resident=resident)
    return Means(resident=resident)


def compiling_pays(card: Card, steps: int, seconds: float) -> bool:
    """Whether `torch.compile` saves more of `steps` steps of so many seconds than it takes; never on the CPU.

    It needs Triton, and with that compute capability 7.0.
    """
    able = card.capability is not None and card.capability >= (7, 0)
    return able and steps * seconds * SAVED > COMPILING


def autocast(device: torch.device, means: Means) -> AbstractContextManager[None]:
    """Inside, the network works in the type of `means`."""
    return torch.autocast(device.type, means.autocast or torch.bfloat16, enabled=means.autocast is not None)


def scaler_of(means: Means) -> Any:
    """What scales the loss, where `means` says so, and elsewhere leaves it as it is."""
    return cast(Any, torch.amp).GradScaler(enabled=means.scaled)


def put_to_use(means: Means) -> None:
    """Set what is set once a process: TF32, and the search for the fastest convolutions of a size."""
    if means.tf32:
        torch.set_float32_matmul_precision("high")
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True
