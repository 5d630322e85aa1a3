"""Two real processes over gloo."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import torch
from torch import multiprocessing

from pipeline.learning import distributed


def _join(rank: int, port: int, work: Callable[..., None], told: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    where = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "RANK": str(rank),
    }
    os.environ |= where | {"LOCAL_RANK": str(rank)}
    distributed.join_process_group()
    work(rank, *told)


def both(work: Callable[..., None], *told: Any) -> None:
    """`work(rank, *told)` in two processes that have joined; a function of a module, since it is sent by name."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    multiprocessing.spawn(_join, (port, work, told), nprocs=2)
