"""Adapters: one data set format in each module, and the typed loader of these plug-ins.

A plug-in `pipeline/data/adapters/<name>.py` defines two functions. They list images and decode
none: pixels are read through `pipeline.data.reading.image_sources.open_image` alone.

- `can_read(tree) -> str | None`: one line on the format that it recognizes, or None.
- `read_images(tree) -> Iterator[ImageRecord | RejectedFile]`: every image, and every other file
  with the reason why it is none. The first line of its docstring describes the format.

A function whose first parameter is called `tree` gets the `FileTree` of the root, and so reads zip
and tar archives as well; any other name gets the path of the root. Names in a tree are relative to
the folder that holds all files but documents. A text, YAML or script file beside that folder is a
document: `tree.widen()` shows it, with names that are relative to the root.

Optional: a parameter `options`, the `ReadOptions`, with SUPPORTED_OPTIONS, the config keys of those
that it uses (file, label, crop_boxes, multi, table, photos, class_level); and the members of a
simulator, see `pipeline.data.reading.simulator_interface`.
"""

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
