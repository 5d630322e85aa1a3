"""Preparation of batches ahead of the step: the number of threads, and the transfer to the device.

The batches have the same bits with any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from pipeline.data.reading.ordered_threads import count_usable_cores
from pipeline.learning.batches.batch_sources import PixelBuilder
from pipeline.learning.distributed import get_fabric

MAXIMUM_THREADS = 8
"""OpenCV, numpy and torch release the interpreter; the Python between them does not."""


def count_workers(core_count: int, busy_cores: int, process_count: int = 1) -> int:
    """Return how many threads prepare batches in each of the processes of one machine.

    It is 0 if the step keeps all cores busy: a thread beside it costs more than it saves (the
    demo's training on two cores takes 100 s with one thread and 65 s without).

    Args:
        core_count: cores of the machine.
        busy_cores: cores that the step of each process keeps busy.
        process_count: processes on the machine.

    >>> count_workers(16, 1), count_workers(2, 2), count_workers(16, 3, process_count=4)
    (8, 0, 1)
    """
    free_cores = core_count // max(1, process_count) - busy_cores
    return max(0, min(MAXIMUM_THREADS, free_cores))


def count_local_workers(device: torch.device) -> int:
    """Return how many threads prepare batches in this process.

    On a CPU the step keeps torch's own threads busy, on a GPU a single core.
    """
    busy_cores = torch.get_num_threads() if device.type == "cpu" else 1
    return count_workers(count_usable_cores(), busy_cores, get_fabric().world_size)


@dataclass(frozen=True)
class DeviceBatch:
    """Tensors during their transfer to a device.

    Attributes:
        tensors: the tensors on the device.
        transfer_event: event after which they are complete; None if they already are.
    """

    tensors: tuple[Tensor, ...]
    transfer_event: Any = None

    def receive_tensors(self) -> tuple[Tensor, ...]:
        """Return the tensors for use on the current stream; the host does not wait."""
        if self.transfer_event is not None:
            stream = torch.cuda.current_stream(self.tensors[0].device)
            stream.wait_event(self.transfer_event)
            for tensor in self.tensors:
                tensor.record_stream(stream)
        return self.tensors


@dataclass(frozen=True)
class BatchShard:
    """This rank's part of a batch, prepared for the step.

    Attributes:
        device_batch: labels int64 [n], then the arguments of `build_pixels`.
        build_pixels: builds the pixels on the device.
        batch_image_count: number of images in the whole batch.
        batch_weight: sum of the class weights of the whole batch.
    """

    device_batch: DeviceBatch
    build_pixels: PixelBuilder
    batch_image_count: int
    batch_weight: float


@dataclass(frozen=True)
class DeviceTransfer:
    """The way of tensors to a device.

    Attributes:
        device: the target device.
        stream: on a GPU, a separate stream that copies from pinned memory while the step runs.
    """

    device: torch.device
    stream: Any = None

    @classmethod
    def create_for_device(cls, device: torch.device) -> DeviceTransfer:
        """Return the transfer to the CPU or to the current GPU of the calling thread."""
        if device.type != "cuda":
            return cls(device)
        current_gpu = torch.device("cuda", torch.cuda.current_device())
        return cls(current_gpu, cast(Any, torch.cuda).Stream(current_gpu))

    def send_tensors(self, *tensors: Tensor) -> DeviceBatch:
        """Start the transfer of the tensors, from any thread."""
        if self.stream is None:
            return DeviceBatch(tensors)
        with torch.cuda.stream(self.stream):
            device_tensors = tuple(
                tensor.pin_memory().to(self.device, non_blocking=True) for tensor in tensors
            )
            return DeviceBatch(device_tensors, self.stream.record_event())
