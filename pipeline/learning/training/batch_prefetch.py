"""Batches made ready in threads while a step runs, and brought to the device beside it: the same bits, sooner."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

T = TypeVar("T")
MAXIMUM_THREADS = 8  # threads; OpenCV, numpy and torch let go of the interpreter, the Python between them does not


def count_workers(core_count: int, busy_cores: int, process_count: int = 1) -> int:
    """Threads that prepare batches in each of `processes` on one machine of `cores`, `busy` of them with the step.

    0 where the step keeps all cores busy: a thread beside it costs more than it saves (the demo's training on two
    cores: 100 s with one, 65 s without).
    """
    return max(0, min(MAXIMUM_THREADS, core_count // max(1, process_count) - busy_cores))


def count_local_workers(device: torch.device) -> int:
    """`workers` of this process: torch's own threads are busy where the step runs on the CPU."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    busy = torch.get_num_threads() if device.type == "cpu" else 1
    return count_workers(cores, busy, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def prefetch_results(
    jobs: Iterable[Callable[[], T]], thread_count: int
) -> Generator[T, None, None]:
    """What each job gives, in the jobs' order, made by `threads` threads that are as many jobs ahead; 0: made here.

    A job is taken from `jobs` by the caller's thread. What a job raises is raised in its turn. Close the iterator
    where it is not read to its end: no job is begun any more, and no thread is left.
    """
    if not thread_count:
        yield from (job() for job in jobs)
        return
    waiting = deque[Future[T]]()
    with ThreadPoolExecutor(thread_count, thread_name_prefix="batches") as pool:
        try:
            for job in jobs:
                waiting.append(pool.submit(job))
                if len(waiting) > thread_count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@dataclass(frozen=True)
class DeviceBatch:
    """Tensors on their way to a device. sent: what the device has to wait for."""

    tensors: tuple[Tensor, ...]
    transfer_event: Any = None

    def receive_tensors(self) -> tuple[Tensor, ...]:
        """The tensors, for use on the current stream; the host waits for nothing."""
        if self.transfer_event is not None:
            stream = torch.cuda.current_stream(self.tensors[0].device)
            stream.wait_event(self.transfer_event)
            for one in self.tensors:
                one.record_stream(stream)
        return self.tensors


@dataclass(frozen=True)
class DeviceTransfer:
    """Brings tensors to `device`: to a GPU from pinned memory on a stream of its own, beside the step that runs."""

    device: torch.device
    stream: Any = None

    @classmethod
    def create_for_device(cls, device: torch.device) -> DeviceTransfer:
        """To the CPU, or to the current GPU; made in the thread whose current GPU that is."""
        if device.type != "cuda":
            return cls(device)
        here = torch.device("cuda", torch.cuda.current_device())
        return cls(here, cast(Any, torch.cuda).Stream(here))

    def send_tensors(self, *tensors: Tensor) -> DeviceBatch:
        """Start on the way; any thread may."""
        if self.stream is None:
            return DeviceBatch(tensors)
        with torch.cuda.stream(self.stream):
            there = tuple(one.pin_memory().to(self.device, non_blocking=True) for one in tensors)
            return DeviceBatch(there, self.stream.record_event())
