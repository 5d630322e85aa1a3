"""Several processes as one: the ranks that torchrun started share the work of a training or of asking a model.

Alone, as outside `together`, every function here does the plain thing: count is 1, and nothing is sent.
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
_untyped_dist: Any = dist  # torch gives some of these names no types
RANK_TIMEOUT = timedelta(
    minutes=10
)  # without it a rank that hangs would hold the others for half an hour
_END_ORDER, _ABORT_ORDER = "end", "broken"


@dataclass
class _ProcessState:
    """This process among the ranks. shared: whether all of them are at the same work now."""

    order_store: Any = None
    order_number: int = 0
    is_work_shared: bool = False


_process_state = _ProcessState()


def join_process_group() -> None:
    """Meet the other ranks: NCCL between GPUs, one a rank; gloo between CPUs. Once a process."""
    if _process_state.order_store is not None:
        return
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, rank, world = next(iter(_untyped_dist.rendezvous("env://", timeout=RANK_TIMEOUT)))
    backend = "cpu:gloo,cuda:nccl" if gpu else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=RANK_TIMEOUT)
    _process_state.order_store = _untyped_dist.PrefixStore("orders", store)


def is_first_rank() -> bool:
    """Whether this is the rank that writes; alone it is."""
    return _process_state.order_store is None or dist.get_rank() == 0


def get_rank() -> int:
    """This rank's number among those that share the work, from 0."""
    return dist.get_rank() if _process_state.is_work_shared else 0


def count_ranks() -> int:
    """How many share the work."""
    return dist.get_world_size() if _process_state.is_work_shared else 1


@contextmanager
def _set_work_sharing(is_shared: bool) -> Iterator[None]:
    before, _process_state.is_work_shared = _process_state.is_work_shared, is_shared
    try:
        yield
    finally:
        _process_state.is_work_shared = before


def share_work() -> AbstractContextManager[None]:
    """Inside, all ranks do the same work, each its share; alone it changes nothing."""
    return _set_work_sharing(True) if _process_state.order_store is not None else nullcontext()


def send_order(command: str) -> None:
    """The first rank tells the others what to do with it next."""
    if _process_state.order_store is not None:
        _process_state.order_store.set(str(_process_state.order_number), command)
        _process_state.order_number += 1


def dismiss_ranks(*, is_successful: bool) -> None:
    """The first rank tells the others that there is nothing more; where it ends well it waits for them to hear it."""
    if _process_state.order_store is not None:
        send_order(_END_ORDER if is_successful else _ABORT_ORDER)
        if is_successful:
            _leave_process_group()


def _leave_process_group() -> None:
    dist.barrier()
    _process_state.order_store = None
    dist.destroy_process_group()


def receive_orders() -> Iterator[str]:
    """What the first rank tells this one to do, until there is nothing more. It may take hours between two."""
    while _process_state.order_store is not None:
        try:
            _process_state.order_store.wait(
                [str(_process_state.order_number)], timedelta(minutes=1)
            )
        except _untyped_dist.DistStoreError as error:
            if "timeout" not in str(error).lower():
                raise
            continue
        what = cast(
            bytes, _process_state.order_store.get(str(_process_state.order_number))
        ).decode()
        _process_state.order_number += 1
        if what == _END_ORDER:
            _leave_process_group()
        if what in (_END_ORDER, _ABORT_ORDER):
            return
        yield what


def select_rank_items(item_count: int) -> slice:
    """Which of `of` things are this rank's: every count-th, so that the union over ranks holds each once."""
    return slice(get_rank(), item_count, count_ranks())


def sum_over_ranks(values: Tensor) -> Tensor:
    """The sum over all ranks, on each of them."""
    if count_ranks() > 1:
        dist.all_reduce(values)
    return values


def broadcast_from_first(value: T) -> T:
    """The first rank's value, on each of them."""
    if count_ranks() == 1:
        return value
    held: list[Any] = [value]
    dist.broadcast_object_list(held, src=0)
    return cast(T, held[0])


def wait_for_ranks() -> None:
    """Wait until all ranks are here."""
    if count_ranks() > 1:
        dist.barrier()


def map_over_ranks(
    compute_item: Callable[[T], R],
    items: Sequence[T],
    track: ProgressTracker = iterate_silently,
    *,
    unit_name: str = "parts",
) -> list[R]:
    """`work` of every item, in order, on every rank; each rank does its share of them, by itself."""
    own = items[select_rank_items(len(items))]
    with _set_work_sharing(False):
        done = [compute_item(item) for item in track(own, total=len(own), unit=unit_name)]
    if count_ranks() == 1:
        return done
    every: list[Any] = [None] * count_ranks()
    dist.all_gather_object(every, done)
    return [every[n % count_ranks()][n // count_ranks()] for n in range(len(items))]


def distribute_model(model: nn.Module) -> nn.Module:
    """The model as it is trained: its gradients averaged over the ranks. Between GPUs batch norm sees the whole batch;
    between CPUs, where torch cannot do that, each rank's share."""
    if count_ranks() == 1:
        return model
    gpu = torch.cuda.is_available()
    model = cast(Any, layers).convert_sync_batchnorm(model) if gpu else model
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", FutureWarning
        )  # of the argument's new name, which torch 2.9 does not know
        devices = [torch.cuda.current_device()] if gpu else None
        return DistributedDataParallel(
            model, device_ids=devices, broadcast_buffers=False, gradient_as_bucket_view=True
        )


def synchronize_statistics(model: nn.Module) -> None:
    """Give all ranks the same running statistics: their mean; sent as one, since each sending has its price."""
    buffers = [one for one in model.buffers() if one.is_floating_point()]
    if count_ranks() > 1 and buffers:
        means = (
            sum_over_ranks(torch.cat([one.detach().double().flatten() for one in buffers]))
            / count_ranks()
        )
        for one, mean in zip(
            buffers, torch.split(means, [one.numel() for one in buffers]), strict=True
        ):
            one.copy_(mean.view_as(one))


def defer_gradient_averaging(model: nn.Module) -> AbstractContextManager[None]:
    """Inside, gradients are added up and not yet averaged over the ranks."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()
