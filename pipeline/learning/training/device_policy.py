"""The policy of a training on a device, as pure functions of the device, and how it is applied."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, cast

import torch

RESIDENT_MEMORY_SHARE = 0.5
"""Share of the GPU's free memory that the images may take; the step needs the rest."""
COMPILE_SAVED_SHARE = 0.1
"""Share of a step that compiling saves; a low estimate."""
COMPILE_SECONDS = 120.0
"""Time that compiling takes; a high estimate."""
AMPERE = (8, 0)
"""First compute capability with bfloat16 and TF32."""
VOLTA = (7, 0)
"""First compute capability with tensor cores for float16, and the first that Triton supports."""


@dataclass(frozen=True)
class DeviceInfo:
    """The properties of a device that decide how it is used.

    Attributes:
        compute_capability: CUDA's compute capability; None for the CPU.
        free_bytes: free memory of the GPU, in bytes.
    """

    compute_capability: tuple[int, int] | None = None
    free_bytes: int = 0


@dataclass(frozen=True)
class PrecisionPolicy:
    """How a training uses its device.

    Attributes:
        autocast_dtype: dtype of the network's arithmetic; None for float32.
        is_loss_scaled: whether the loss is scaled so that gradients do not vanish in this dtype
            (Micikevicius et al. 2018).
        is_tf32_allowed: whether float32 matrices may be multiplied in TF32.
        is_data_resident: whether the images stay in the device's memory.
    """

    autocast_dtype: torch.dtype | None = None
    is_loss_scaled: bool = False
    is_tf32_allowed: bool = False
    is_data_resident: bool = False


def describe_device(device: torch.device) -> DeviceInfo:
    """Return the properties of the device as they are now."""
    if device.type != "cuda":
        return DeviceInfo()
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return DeviceInfo(torch.cuda.get_device_capability(device), free_bytes)


def choose_precision(device_info: DeviceInfo, pixel_bytes: int) -> PrecisionPolicy:
    """Return the policy for a device and for images of `pixel_bytes` bytes in all.

    From compute capability 8.0 (Ampere) it is bfloat16 and TF32. From 7.0 (tensor cores) it is
    float16 with a scaled loss. Below, half precision is no faster, so it is float32. On the CPU it
    is float32 too, and the results are reproducible bit by bit.
    """
    if device_info.compute_capability is None:
        return PrecisionPolicy()
    is_resident = pixel_bytes <= RESIDENT_MEMORY_SHARE * device_info.free_bytes
    if device_info.compute_capability >= AMPERE:
        return PrecisionPolicy(torch.bfloat16, is_tf32_allowed=True, is_data_resident=is_resident)
    if device_info.compute_capability >= VOLTA:
        return PrecisionPolicy(torch.float16, is_loss_scaled=True, is_data_resident=is_resident)
    return PrecisionPolicy(is_data_resident=is_resident)


def is_compiling_worthwhile(
    device_info: DeviceInfo, remaining_steps: int, step_seconds: float
) -> bool:
    """Return whether `torch.compile` is expected to save more time than it takes.

    It needs Triton, and so compute capability 7.0. On the CPU it is never worthwhile.

    Args:
        device_info: the device.
        remaining_steps: steps that are left.
        step_seconds: duration of one step without compiling.
    """
    capability = device_info.compute_capability
    if capability is None or capability < VOLTA:
        return False
    return remaining_steps * step_seconds * COMPILE_SAVED_SHARE > COMPILE_SECONDS


def create_autocast(
    device: torch.device, precision: PrecisionPolicy
) -> AbstractContextManager[None]:
    """Return a context that makes the network compute in the policy's dtype."""
    return torch.autocast(
        device.type,
        precision.autocast_dtype or torch.bfloat16,
        enabled=precision.autocast_dtype is not None,
    )


def create_loss_scaler(precision: PrecisionPolicy) -> Any:
    """Return a `GradScaler`, which leaves the loss unchanged unless the policy scales it."""
    return cast(Any, torch.amp).GradScaler(enabled=precision.is_loss_scaled)


def apply_precision(precision: PrecisionPolicy) -> None:
    """Set the process-wide options: TF32, and the search for the fastest convolutions of a size."""
    if precision.is_tf32_allowed:
        torch.set_float32_matmul_precision("high")
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True
