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

from pipeline.contracts import Track, silent

T = TypeVar("T")
R = TypeVar("R")
_dist: Any = dist  # torch gives some of these names no types
TIMEOUT = timedelta(minutes=10)  # without it a rank that hangs would hold the others for half an hour
_END, _BROKEN = "end", "broken"


@dataclass
class _Here:
    """This process among the ranks. shared: whether all of them are at the same work now."""

    orders: Any = None
    number: int = 0
    shared: bool = False


_here = _Here()


def join() -> None:
    """Meet the other ranks: NCCL between GPUs, one a rank; gloo between CPUs. Once a process."""
    if _here.orders is not None:
        return
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, rank, world = next(iter(_dist.rendezvous("env://", timeout=TIMEOUT)))
    backend = "cpu:gloo,cuda:nccl" if gpu else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=TIMEOUT)
    _here.orders = _dist.PrefixStore("orders", store)


def first() -> bool:
    """Whether this is the rank that writes; alone it is."""
    return _here.orders is None or dist.get_rank() == 0


def rank() -> int:
    """This rank's number among those that share the work, from 0."""
    return dist.get_rank() if _here.shared else 0


def count() -> int:
    """How many share the work."""
    return dist.get_world_size() if _here.shared else 1


@contextmanager
def _sharing(shared: bool) -> Iterator[None]:
    before, _here.shared = _here.shared, shared
    try:
        yield
    finally:
        _here.shared = before


def together() -> AbstractContextManager[None]:
    """Inside, all ranks do the same work, each its share; alone it changes nothing."""
    return _sharing(True) if _here.orders is not None else nullcontext()


def order(what: str) -> None:
    """The first rank tells the others what to do with it next."""
    if _here.orders is not None:
        _here.orders.set(str(_here.number), what)
        _here.number += 1


def dismiss(*, well: bool) -> None:
    """The first rank tells the others that there is nothing more; where it ends well it waits for them to hear it."""
    if _here.orders is not None:
        order(_END if well else _BROKEN)
        if well:
            _part()


def _part() -> None:
    dist.barrier()
    _here.orders = None
    dist.destroy_process_group()


def orders() -> Iterator[str]:
    """What the first rank tells this one to do, until there is nothing more. It may take hours between two."""
    while _here.orders is not None:
        try:
            _here.orders.wait([str(_here.number)], timedelta(minutes=1))
        except _dist.DistStoreError as error:
            if "timeout" not in str(error).lower():
                raise
            continue
        what = cast(bytes, _here.orders.get(str(_here.number))).decode()
        _here.number += 1
        if what == _END:
            _part()
        if what in (_END, _BROKEN):
            return
        yield what


def mine(of: int) -> slice:
    """Which of `of` things are this rank's: every count-th, so that the union over ranks holds each once."""
    return slice(rank(), of, count())


def summed(values: Tensor) -> Tensor:
    """The sum over all ranks, on each of them."""
    if count() > 1:
        dist.all_reduce(values)
    return values


def from_first(value: T) -> T:
    """The first rank's value, on each of them."""
    if count() == 1:
        return value
    held: list[Any] = [value]
    dist.broadcast_object_list(held, src=0)
    return cast(T, held[0])


def meet() -> None:
    """Wait until all ranks are here."""
    if count() > 1:
        dist.barrier()


def shared(work: Callable[[T], R], items: Sequence[T], track: Track = silent, *, what: str = "parts") -> list[R]:
    """`work` of every item, in order, on every rank; each rank does its share of them, by itself."""
    own = items[mine(len(items))]
    with _sharing(False):
        done = [work(item) for item in track(own, total=len(own), what=what)]
    if count() == 1:
        return done
    every: list[Any] = [None] * count()
    dist.all_gather_object(every, done)
    return [every[n % count()][n // count()] for n in range(len(items))]


def spread(model: nn.Module) -> nn.Module:
    """The model as it is trained: its gradients averaged over the ranks. Between GPUs batch norm sees the whole batch;
    between CPUs, where torch cannot do that, each rank's share."""
    if count() == 1:
        return model
    gpu = torch.cuda.is_available()
    model = cast(Any, layers).convert_sync_batchnorm(model) if gpu else model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of the argument's new name, which torch 2.9 does not know
        devices = [torch.cuda.current_device()] if gpu else None
        return DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False, gradient_as_bucket_view=True)


def settle(model: nn.Module) -> None:
    """Give all ranks the same running statistics: their mean; sent as one, since each sending has its price."""
    buffers = [one for one in model.buffers() if one.is_floating_point()]
    if count() > 1 and buffers:
        means = summed(torch.cat([one.detach().double().flatten() for one in buffers])) / count()
        for one, mean in zip(buffers, torch.split(means, [one.numel() for one in buffers]), strict=True):
            one.copy_(mean.view_as(one))


def unsent(model: nn.Module) -> AbstractContextManager[None]:
    """Inside, gradients are added up and not yet averaged over the ranks."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()
