"""What a device offers a training, as one pure function of the card; and how it is put to use."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, cast

import torch

RESIDENT_MEMORY_SHARE = (
    0.5  # of the GPU's free memory that the images may take; the step needs the rest
)
COMPILE_SAVED_SHARE, COMPILE_SECONDS = (
    0.1,
    120.0,
)  # share of a step that compiling saves, and seconds that it takes: held low and high


@dataclass(frozen=True)
class DeviceInfo:
    """A device. capability: CUDA's compute capability, None for the CPU. free: bytes of its memory."""

    compute_capability: tuple[int, int] | None = None
    free_bytes: int = 0


@dataclass(frozen=True)
class PrecisionPolicy:
    """What of a device is used.

    autocast: type of the network's arithmetic, None for float32. scaled: whether gradients would vanish in it unless
    the loss is scaled (Micikevicius et al. 2018). tf32: whether float32 matrices may be multiplied in TF32. resident:
    whether the images lie on the device.
    """

    autocast_dtype: torch.dtype | None = None
    is_loss_scaled: bool = False
    is_tf32_allowed: bool = False
    is_data_resident: bool = False


def describe_device(device: torch.device) -> DeviceInfo:
    """What `device` is."""
    if device.type != "cuda":
        return DeviceInfo()
    return DeviceInfo(torch.cuda.get_device_capability(device), torch.cuda.mem_get_info(device)[0])


def choose_precision(device_info: DeviceInfo, pixel_bytes: int) -> PrecisionPolicy:
    """What of a card is used for images of so many bytes.

    bfloat16 and TF32 from compute capability 8.0 (Ampere), float16 with a scaled loss from 7.0 (tensor cores), float32
    below, where half precision is no faster, and on the CPU, where results are the same to the bit.
    """
    if device_info.compute_capability is None:
        return PrecisionPolicy()
    resident = pixel_bytes <= RESIDENT_MEMORY_SHARE * device_info.free_bytes
    if device_info.compute_capability >= (8, 0):
        return PrecisionPolicy(torch.bfloat16, is_tf32_allowed=True, is_data_resident=resident)
    if device_info.compute_capability >= (7, 0):
        return PrecisionPolicy(torch.float16, is_loss_scaled=True, is_data_resident=resident)
    return PrecisionPolicy(is_data_resident=resident)


def is_compiling_worthwhile(
    device_info: DeviceInfo, remaining_steps: int, step_seconds: float
) -> bool:
    """Whether `torch.compile` saves more of `steps` steps of so many seconds than it takes; never on the CPU.

    It needs Triton, and with that compute capability 7.0.
    """
    able = device_info.compute_capability is not None and device_info.compute_capability >= (7, 0)
    return able and remaining_steps * step_seconds * COMPILE_SAVED_SHARE > COMPILE_SECONDS


def create_autocast(
    device: torch.device, precision: PrecisionPolicy
) -> AbstractContextManager[None]:
    """Inside, the network works in the type of `means`."""
    return torch.autocast(
        device.type,
        precision.autocast_dtype or torch.bfloat16,
        enabled=precision.autocast_dtype is not None,
    )


def create_loss_scaler(precision: PrecisionPolicy) -> Any:
    """What scales the loss, where `means` says so, and elsewhere leaves it as it is."""
    return cast(Any, torch.amp).GradScaler(enabled=precision.is_loss_scaled)


def apply_precision(precision: PrecisionPolicy) -> None:
    """Set what is set once a process: TF32, and the search for the fastest convolutions of a size."""
    if precision.is_tf32_allowed:
        torch.set_float32_matmul_precision("high")
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True
