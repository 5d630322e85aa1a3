"""One data set format in each module, and the typed loader of these plug-ins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

from pipeline import plugins


class DatasetAdapter(Protocol):
    """Members of an adapter's module.

    `SUPPORTED_OPTIONS`, the names of read options that it uses, is optional.

    Attributes:
        can_read: returns one line on what it recognized in a `FileTree` or folder, or None.
        read_images: yields an `ImageRecord` or a `RejectedFile` for each entry; the first line of
            its docstring describes the format.
    """

    can_read: Callable[..., str | None]
    read_images: Callable[..., Any]


class DatasetSimulator(DatasetAdapter, Protocol):
    """Members of the module of an adapter that can also draw images.

    Attributes:
        SIMULATED_CONDITIONS: names of remedies whose condition it can draw.
        simulate_images: yields a `SimulatedImage` for each image of a `SimulationRequest`.
    """

    SIMULATED_CONDITIONS: tuple[str, ...]
    simulate_images: Callable[..., Any]


def list_adapters() -> tuple[str, ...]:
    """Return the names of all adapters; the first that recognizes a data set reads it."""
    return plugins.list_plugins("adapters")


def load_adapter(name: str) -> DatasetAdapter:
    """Return the module of an adapter.

    Raises:
        KeyError: there is no such adapter.
        InputError: it comes from another distribution and lacks a member.
    """
    return cast(DatasetAdapter, plugins.load_plugin("adapters", name))


def load_simulator(name: str) -> DatasetSimulator:
    """Return the module of an adapter that can draw images.

    Raises:
        KeyError: there is no such adapter, or it draws no images.
        InputError: it comes from another distribution and lacks a member.
    """
    adapter = load_adapter(name)
    if not hasattr(adapter, "simulate_images"):
        raise KeyError(name)
    return cast(DatasetSimulator, adapter)
