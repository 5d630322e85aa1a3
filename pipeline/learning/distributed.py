"""Lightning Fabric's services: the device, its precision, and the processes that share work.

In a process by itself, and outside `share_work`, there is one process and nothing is sent. Fabric
is imported when a network runs, not before.
"""

from __future__ import annotations

import logging
import multiprocessing
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from timm import layers
from torch import Tensor, nn
from torch.multiprocessing.spawn import ProcessException

from pipeline.contracts import InputError, ProgressTracker, iterate_silently

if TYPE_CHECKING:
    from lightning_fabric import Fabric

T = TypeVar("T")
R = TypeVar("R")

ProcessFailure = ProcessException
"""A process died, or raised an error that is no fault of the user."""

# Each process would log how it connects; set here, since spawned processes import this first.
for _module in ("distributed", "rank_zero"):
    logging.getLogger(f"lightning_fabric.utilities.{_module}").setLevel(logging.WARNING)
GROUP_TIMEOUT = timedelta(days=7)
"""The other processes wait for as long as the first one works alone; a death ends all at once."""
AMPERE = (8, 0)
"""First compute capability with bfloat16 and TF32."""
VOLTA = (7, 0)
"""First compute capability with tensor cores for float16, and the first that Triton supports."""


@dataclass
class _ProcessState:
    """The place of this process among others.

    Attributes:
        group: the services of all processes together; None in a process by itself.
        current: the services in use; None for those of this process alone.
    """

    group: Fabric | None = None
    current: Fabric | None = None


_process_state = _ProcessState()


def choose_precision(compute_capability: tuple[int, int] | None) -> Any:
    """Return Fabric's name of the precision for a GPU's compute capability, None for the CPU.

    From Ampere on it is bfloat16, from Volta on (tensor cores) float16 with a scaled loss. Below,
    half precision is no faster. On the CPU float32 is reproducible bit by bit.
    """
    if compute_capability is None or compute_capability < VOLTA:
        return "32-true"
    return "bf16-mixed" if compute_capability >= AMPERE else "16-mixed"


def _create_fabric(devices: int | list[int], **options: Any) -> Fabric:
    from lightning_fabric import Fabric

    has_gpu = torch.cuda.is_available()
    precision = choose_precision(torch.cuda.get_device_capability() if has_gpu else None)
    accelerator = "cuda" if has_gpu else "cpu"
    return Fabric(accelerator=accelerator, devices=devices, precision=precision, **options)


@cache
def _create_own_fabric() -> Fabric:
    """Return the services of this process alone."""
    return _create_fabric([torch.cuda.current_device()] if torch.cuda.is_available() else 1)


def get_fabric() -> Fabric:
    """Return the services in use: of this process, or of all inside `share_work`."""
    return _process_state.current or _create_own_fabric()


@contextmanager
def use_fabric(fabric: Fabric) -> Iterator[None]:
    """Use these services inside the context."""
    before = _process_state.current
    _process_state.current = fabric
    try:
        yield
    finally:
        _process_state.current = before


def prepare_device() -> None:
    """Prepare the device for one training: fast float32 products and convolutions on a GPU.

    The scale of the loss starts anew, since the weights depend on it.
    """
    fabric = get_fabric()
    if fabric.device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    fresh_scaler = cast(Any, torch.amp).GradScaler(fabric.device.type)
    fabric.strategy.precision.load_state_dict(fresh_scaler.state_dict())


def share_work(order: str) -> AbstractContextManager[None]:
    """Return a context for work that all processes share; the others receive `order` first.

    Only the first process calls this. In a process by itself the context changes nothing.
    """
    if _process_state.group is None:
        return nullcontext()
    _process_state.group.broadcast(order)
    return use_fabric(_process_state.group)


def _run_in_process(fabric: Fabric, *, answers: Any, function: Callable[[Fabric], Any]) -> None:
    """Call the function; the first process sends its result or bad input to the parent."""
    _process_state.group = fabric
    try:
        answer = function(fabric)
    except (InputError, OSError) as error:
        if fabric.is_global_zero:
            answers.put(error)
        raise
    fabric.barrier()
    torch.distributed.destroy_process_group()
    if fabric.is_global_zero:
        answers.put(answer)


def launch_processes(process_count: int, function: Callable[[Fabric], R]) -> R:
    """Run a function in several processes, and return the result of the first one.

    GPUs use NCCL, with one GPU a process; CPUs use gloo. No process outlives this call.

    Args:
        process_count: number of processes.
        function: receives the services of all processes; it is pickled, as is its result, which
            must be small.

    Raises:
        InputError: there are fewer GPUs, or the first process raised it.
        OSError: the first process raised it.
        ProcessFailure: a process died, or raised anything else.
    """
    from lightning_fabric.strategies.ddp import DDPStrategy

    has_gpu = torch.cuda.is_available()
    if has_gpu and process_count > torch.cuda.device_count():
        raise InputError(
            f"--processes: {process_count}, but there are {torch.cuda.device_count()} GPUs; "
            "each process needs one"
        )
    strategy = DDPStrategy(
        process_group_backend="cpu:gloo,cuda:nccl" if has_gpu else "gloo",
        timeout=GROUP_TIMEOUT,
        start_method="spawn",
        broadcast_buffers=False,
        gradient_as_bucket_view=True,
    )
    answers: Any = multiprocessing.get_context("spawn").SimpleQueue()
    fabric = _create_fabric(process_count, strategy=strategy)
    try:
        fabric.launch(partial(_run_in_process, answers=answers, function=function))
        return cast(R, answers.get())
    except ProcessFailure:
        if not answers.empty():
            raise answers.get() from None
        raise
    finally:
        for child in multiprocessing.active_children():
            child.kill()


def select_process_items(item_count: int) -> slice:
    """Return the positions of this process's items: every n-th of `item_count` for n processes.

    Over all processes each position occurs exactly once.
    """
    fabric = get_fabric()
    return slice(fabric.global_rank, item_count, fabric.world_size)


def map_over_processes(
    compute_item: Callable[[T], R],
    items: Sequence[T],
    track: ProgressTracker = iterate_silently,
    *,
    unit_name: str = "parts",
) -> list[R]:
    """Return `compute_item` of every item, in order, on every process.

    Each process computes its own items. Inside `compute_item` the work is not shared.

    Args:
        compute_item: the function; its results are pickled between the processes.
        items: the same items on every process.
        track: shows the progress of this process.
        unit_name: what an item is called in the progress line.
    """
    fabric = get_fabric()
    own_items = items[select_process_items(len(items))]
    with use_fabric(_create_own_fabric()):
        tracked = track(own_items, total=len(own_items), unit=unit_name)
        own_results = [compute_item(item) for item in tracked]
    count = fabric.world_size
    process_results = [fabric.broadcast(own_results, source) for source in range(count)]
    return [process_results[n % count][n // count] for n in range(len(items))]


def set_up_model(model: nn.Module) -> nn.Module:
    """Return the model wrapped for training: precision, and gradients averaged over the processes.

    On GPUs batch norm uses the whole batch. On CPUs torch does not support that, so batch norm uses
    each process's part of the batch.
    """
    fabric = get_fabric()
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        model = cast(Any, layers).convert_sync_batchnorm(model)
    with warnings.catch_warnings():
        # The warning names a new argument that torch 2.9 does not have yet.
        warnings.simplefilter("ignore", FutureWarning)
        return cast(nn.Module, fabric.setup_module(model, move_to_device=False))


def synchronize_statistics(model: nn.Module) -> None:
    """Replace the running statistics of the model by their mean over the processes."""
    fabric = get_fabric()
    buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
    if fabric.world_size == 1 or not buffers:
        return
    # One tensor, since each transfer has a fixed cost.
    flat = torch.cat([buffer.detach().flatten() for buffer in buffers])
    means = cast(Tensor, fabric.all_reduce(flat, reduce_op="sum")) / fabric.world_size
    sizes = [buffer.numel() for buffer in buffers]
    for buffer, mean in zip(buffers, torch.split(means, sizes), strict=True):
        buffer.copy_(mean.view_as(buffer))
