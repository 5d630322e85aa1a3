"""Ranks: the processes that torchrun starts, which share the work of one training or inference.

In a single process, and outside `share_work`, every function does the plain thing: there is one
rank and nothing is sent.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from timm import layers
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.contracts import ProgressTracker, iterate_silently

T = TypeVar("T")
R = TypeVar("R")
_untyped_dist: Any = dist  # torch has no types for some of these names

RANK_TIMEOUT = timedelta(minutes=10)
"""Torch's own timeout is half an hour, for which one rank that hangs would block all others."""
_ORDER_POLL_INTERVAL = timedelta(minutes=1)
_END_ORDER = "end"
_ABORT_ORDER = "broken"


@dataclass
class _ProcessState:
    """The place of this process among the ranks.

    Attributes:
        order_store: store of the first rank's orders; None in a single process.
        order_number: number of the next order.
        is_work_shared: whether all ranks do the same work at the moment.
    """

    order_store: Any = None
    order_number: int = 0
    is_work_shared: bool = False


_process_state = _ProcessState()


def join_process_group() -> None:
    """Connect this process to the other ranks, at most once.

    GPUs use NCCL, with one GPU a rank; CPUs use gloo.
    """
    if _process_state.order_store is not None:
        return
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, rank, world = next(iter(_untyped_dist.rendezvous("env://", timeout=RANK_TIMEOUT)))
    backend = "cpu:gloo,cuda:nccl" if has_gpu else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=RANK_TIMEOUT)
    _process_state.order_store = _untyped_dist.PrefixStore("orders", store)


def is_first_rank() -> bool:
    """Return whether this is the rank that writes files; a single process is."""
    return _process_state.order_store is None or dist.get_rank() == 0


def get_rank() -> int:
    """Return the number of this rank, from 0, among those that share the work."""
    return dist.get_rank() if _process_state.is_work_shared else 0


def count_ranks() -> int:
    """Return the number of ranks that share the work."""
    return dist.get_world_size() if _process_state.is_work_shared else 1


@contextmanager
def _set_work_sharing(is_shared: bool) -> Iterator[None]:
    before = _process_state.is_work_shared
    _process_state.is_work_shared = is_shared
    try:
        yield
    finally:
        _process_state.is_work_shared = before


def share_work() -> AbstractContextManager[None]:
    """Return a context that makes each rank do its part of the same work.

    In a single process the context changes nothing.
    """
    return _set_work_sharing(True) if _process_state.order_store is not None else nullcontext()


def send_order(command: str) -> None:
    """Send the other ranks the next command; only the first rank calls this."""
    if _process_state.order_store is not None:
        _process_state.order_store.set(str(_process_state.order_number), command)
        _process_state.order_number += 1


def dismiss_ranks(*, is_successful: bool) -> None:
    """Send the other ranks the end of the work; only the first rank calls this.

    After a success the first rank waits until every rank has received it.
    """
    if _process_state.order_store is not None:
        send_order(_END_ORDER if is_successful else _ABORT_ORDER)
        if is_successful:
            _leave_process_group()


def _leave_process_group() -> None:
    dist.barrier()
    _process_state.order_store = None
    dist.destroy_process_group()


def receive_orders() -> Iterator[str]:
    """Yield the commands of the first rank until the work ends; hours may pass between two."""
    while _process_state.order_store is not None:
        key = str(_process_state.order_number)
        try:
            _process_state.order_store.wait([key], _ORDER_POLL_INTERVAL)
        except _untyped_dist.DistStoreError as error:
            if "timeout" not in str(error).lower():
                raise
            continue
        command = cast(bytes, _process_state.order_store.get(key)).decode()
        _process_state.order_number += 1
        if command == _END_ORDER:
            _leave_process_group()
        if command in (_END_ORDER, _ABORT_ORDER):
            return
        yield command


def select_rank_items(item_count: int) -> slice:
    """Return the positions of this rank's items: every n-th of `item_count` for n ranks.

    Over all ranks each position occurs exactly once.
    """
    return slice(get_rank(), item_count, count_ranks())


def sum_over_ranks(values: Tensor) -> Tensor:
    """Return the sum of `values` over all ranks, on each rank; it is written into `values`."""
    if count_ranks() > 1:
        dist.all_reduce(values)
    return values


def broadcast_from_first(value: T) -> T:
    """Return the first rank's value, on each rank."""
    if count_ranks() == 1:
        return value
    container: list[Any] = [value]
    dist.broadcast_object_list(container, src=0)
    return cast(T, container[0])


def wait_for_ranks() -> None:
    """Wait until all ranks have reached this call."""
    if count_ranks() > 1:
        dist.barrier()


def map_over_ranks(
    compute_item: Callable[[T], R],
    items: Sequence[T],
    track: ProgressTracker = iterate_silently,
    *,
    unit_name: str = "parts",
) -> list[R]:
    """Return `compute_item` of every item, in order, on every rank.

    Each rank computes its own items. Inside `compute_item` the work is not shared.

    Args:
        compute_item: the function; its results are pickled between the ranks.
        items: the same items on every rank.
        track: shows the progress of this rank.
        unit_name: what an item is called in the progress line.
    """
    own_items = items[select_rank_items(len(items))]
    with _set_work_sharing(False):
        tracked = track(own_items, total=len(own_items), unit=unit_name)
        own_results = [compute_item(item) for item in tracked]
    rank_count = count_ranks()
    if rank_count == 1:
        return own_results
    rank_results: list[Any] = [None] * rank_count
    dist.all_gather_object(rank_results, own_results)
    return [rank_results[n % rank_count][n // rank_count] for n in range(len(items))]


def distribute_model(model: nn.Module) -> nn.Module:
    """Return the model wrapped for training: its gradients are averaged over the ranks.

    On GPUs batch norm uses the whole batch. On CPUs torch does not support that, so batch norm uses
    each rank's part of the batch.
    """
    if count_ranks() == 1:
        return model
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        model = cast(Any, layers).convert_sync_batchnorm(model)
    devices = [torch.cuda.current_device()] if has_gpu else None
    with warnings.catch_warnings():
        # The warning names a new argument that torch 2.9 does not have yet.
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(
            model, device_ids=devices, broadcast_buffers=False, gradient_as_bucket_view=True
        )


def synchronize_statistics(model: nn.Module) -> None:
    """Replace the running statistics of the model by their mean over the ranks.

    All buffers are sent as one tensor, since each transfer has a fixed cost.
    """
    buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
    if count_ranks() == 1 or not buffers:
        return
    flat = torch.cat([buffer.detach().double().flatten() for buffer in buffers])
    means = sum_over_ranks(flat) / count_ranks()
    start = 0
    for buffer in buffers:
        stop = start + buffer.numel()
        buffer.copy_(means[start:stop].view_as(buffer))
        start = stop


def defer_gradient_averaging(model: nn.Module) -> AbstractContextManager[None]:
    """Return a context that sums gradients on each rank and does not average them over ranks."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()
