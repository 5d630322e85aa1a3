"""A pair of ranks: two processes that are connected over gloo."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import torch
from torch import multiprocessing

from pipeline.learning import distributed

LOCALHOST = "127.0.0.1"


def _join_and_run(
    rank: int, port: int, function: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "MASTER_ADDR": LOCALHOST,
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
    }
    distributed.join_process_group()
    function(rank, *arguments)


def run_two_ranks(function: Callable[..., None], *arguments: Any) -> None:
    """Run `function(rank, *arguments)` in two connected processes.

    The function must be defined at module level, since it is sent by its name.
    """
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        port = int(probe.getsockname()[1])
    multiprocessing.spawn(_join_and_run, (port, function, arguments), nprocs=2)
