"""One name, three places: the list below, the file `pipeline/<kind>/<name>.py`, the function in it.

An outsider's package needs no line here: an entry point in the group `nightshift.<kind>` that points to a
module (with the function of the entry point's name in it) is appended to the list.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

DATASETS = (  # the first that recognises a path reads it
    "gate",
    "torchvision",
    "huggingface",
    "manifest",
    "coco",
    "voc",
    "webdataset",
    "idx",
    "npz",
    "folder",
)
ATTRIBUTES = (
    "luminance",
    "contrast",
    "saturation",
    "warmth",
    "sharpness",
    "noise",
    "blockiness",
    "tilt",
    "hour",
    "day",
    "size",
)
REMEDIES = (
    "exposure",
    "low_light",
    "gamma",
    "contrast",
    "local_contrast",
    "blur",
    "motion_blur",
    "sharpen",
    "noise",
    "jpeg",
    "rotation",
    "quarter_turns",
    "horizontal_flip",
    "vertical_flip",
    "zoom",
    "crop",
    "greyscale",
    "colour_cast",
    "colour_temperature",
    "occlusion",
    "shadow",
    "fog",
    "oversampling",
    "reweighting",
)
SECTIONS = (
    "verdict",
    "headline",
    "confusion",
    "classes",
    "slices",
    "shortcuts",
    "followed",
    "photos",
    "augmentation",
    "training",
    "calibration",
    "drift",
    "health",
    "embedding",
    "identity",
    "review",
)

_LISTS = {"datasets": DATASETS, "attributes": ATTRIBUTES, "remedies": REMEDIES, "sections": SECTIONS}


@cache
def _outside(kind: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"nightshift.{kind}")}


def names(kind: str) -> tuple[str, ...]:
    """The registered names of a kind (`datasets`, `attributes`, `remedies`, `sections`), outsiders last."""
    return _LISTS[kind] + tuple(n for n in sorted(_outside(kind)) if n not in _LISTS[kind])


def module(kind: str, name: str) -> ModuleType:
    """The plugin's module (its constants sit beside the function). Raises `KeyError` for an unknown name."""
    if name in _LISTS[kind]:
        return import_module(f"pipeline.{kind}.{name}")
    loaded = _outside(kind)[name].load()
    if not isinstance(loaded, ModuleType):
        raise KeyError(f"entry point nightshift.{kind}:{name} must name a module, it names {loaded!r}")
    return loaded


def load(kind: str, name: str) -> Any:
    """The plugin's function: the one that bears the plugin's name."""
    return getattr(module(kind, name), name)


def version(kind: str) -> str:
    """Identifies the outsiders of a kind (name and distribution version), as part of a stage's code version."""
    return ",".join(f"{n}={p.dist.version if p.dist else '?'}" for n, p in sorted(_outside(kind).items()))
