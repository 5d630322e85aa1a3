"""A user's own model, taken as it is: a checkpoint of a timm network, or a program of `torch.export`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from pipeline.contracts import InputError
from pipeline.learning.backbone import Meta, create, require_known
from pipeline.learning.settings import PROGRAM, GivenSettings
from pipeline.learning.torch_program import Program
from pipeline.learning.weights import read_weights

KEY = "train.model"
NAMED = ("class_to_idx", "classes", "class_names", "label_names")
"""Under which of these a checkpoint, or timm's `config.json` beside it, names its classes in order."""


def _beside(path: Path) -> dict[str, Any]:
    """timm's `config.json` in the file's folder, its `pretrained_cfg` laid flat; empty where there is none."""
    file = path.with_name("config.json")
    if not file.is_file():
        return {}
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return {**told, **told.get("pretrained_cfg", {})}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{KEY}: {file}: cannot be read ({error}); mend it or take it away") from error


def _named(told: dict[str, Any]) -> list[str] | None:
    """The classes that a file names, in the order of its answers, or None."""
    for value in (told[name] for name in NAMED if name in told):
        if isinstance(value, dict):
            return [str(name) for name, _ in sorted(value.items(), key=lambda item: int(item[1]))]
        if isinstance(value, (list, tuple)) and value:
            return [str(name) for name in value]
    return None


def _ordered(path: Path, names: Sequence[str], given: list[str] | None, own: list[str] | None) -> list[int]:
    """Which answer of the model stands for each class of the data. Raises `InputError` where the classes differ."""
    order, source = (given, "train.class_order") if given else (own or list(names), str(path))
    if len(set(order)) < len(order):
        raise InputError(f"{source}: a class stands in it twice")
    if set(order) != set(names):
        odd = [("not in the data", set(order) - set(names)), ("lacking", set(names) - set(order))]
        told = "; ".join(f"{what}: {', '.join(sorted(found)[:5])}" for what, found in odd if found)
        raise InputError(f"{KEY}: the classes of {source} are not those of the data ({told})")
    return [order.index(name) for name in names]


def _shares(settings: GivenSettings, told: dict[str, Any], key: str) -> list[float] | None:
    value = getattr(settings, key) or told.get(key)
    return None if value is None else [float(v) for v in value]


def _heads(model: nn.Module) -> list[str]:
    head = cast(Any, model).pretrained_cfg.get("classifier") or ()
    layers = (head,) if isinstance(head, str) else tuple(head)
    return [k for k in model.state_dict() if any(k.startswith(f"{layer}.") for layer in layers)]


def _require_fit(path: Path, backbone: str, model: nn.Module, state: dict[str, Tensor], classes: int) -> None:
    """Raise `InputError` unless every tensor of the network is there, in its shape, and no other."""
    own, heads = model.state_dict(), _heads(model)
    bad = [k for k in own if k not in state or state[k].shape != own[k].shape]
    bad += [k for k in state if k not in own]
    if bad and all(k in heads and k in state for k in bad):
        n = len(state[bad[0]])
        raise InputError(f"{KEY}: {path}: its head answers with {n} classes, the data has {classes}; see ingest.data")
    if bad:
        raise InputError(
            f"{KEY}: {path}: no checkpoint of train.backbone={backbone} ({len(bad)} tensors differ, first {bad[0]}); "
            "name its own there, and the image size that it was made for in ingest.side"
        )


def _checkpoint(path: Path, names: Sequence[str], side: int, settings: GivenSettings) -> tuple[nn.Module, Meta, bool]:
    require_known(settings.backbone)
    state, held = read_weights(path, KEY)
    told = held | _beside(path)
    if (own := told.get("architecture")) and own != settings.backbone:
        raise InputError(f"{KEY}: {path}: its config.json names {own}; set train.backbone={own}")
    order = _ordered(path, names, settings.class_order, _named(told))
    model = create(settings.backbone, len(names), side, drop_rate=settings.dropout)
    _require_fit(path, settings.backbone, model, state, len(names))
    for head in _heads(model):
        state[head] = state[head][order]
    model.load_state_dict(state)
    cfg = cast(Any, model).pretrained_cfg
    shares = {key: _shares(settings, {**cfg, **told}, key) for key in ("mean", "std")}
    return model, {"backbone": settings.backbone, **shares}, bool(settings.class_order or _named(told))


def _program(path: Path, names: Sequence[str], side: int, settings: GivenSettings) -> tuple[nn.Module, Meta, bool]:
    model = Program(path, _ordered(path, names, settings.class_order, None))
    if model.side not in (None, side):
        raise InputError(f"{KEY}: {path}: takes photos of {model.side} px; set ingest.side={model.side}")
    try:
        with torch.inference_mode():
            classes = model.scores(torch.zeros(model.low or 1, 3, side, side)).shape[1]
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{KEY}: {path}: {str(error).splitlines()[0]} (asked about photos of {side} px)") from error
    if classes != len(names):
        raise InputError(f"{KEY}: {path}: answers with {classes} classes, the data has {len(names)}")
    shares = {key: _shares(settings, {}, key) for key in ("mean", "std")}
    if None in shares.values():
        raise InputError(
            f"{KEY}: {path}: set train.mean and train.std, what its input is normalised with; for plain shares of full "
            "brightness [0, 0, 0] and [1, 1, 1]"
        )
    trains = any(p.requires_grad for p in model.parameters())
    about = {"backbone": PROGRAM, "order": model.order.tolist(), "trains": trains}
    return model, {**about, **shares}, bool(settings.class_order)


def take(path: Path, names: Sequence[str], side: int, settings: GivenSettings) -> tuple[nn.Module, Meta, bool]:
    """The network in `path`, its answers put into the order of `names`; its `Meta`; whether it was told its order.

    path: `.pt2` is a program of `torch.export.save`, which takes float32 [N, 3, S, S] and answers scores [N, classes];
    any other a checkpoint of the timm network `settings.backbone`, loaded strictly, head and all. side: of the photos,
    in pixels. Raises `InputError`, one line, for any other file, architecture, image size or classes.
    """
    if not path.is_file():
        raise InputError(f"{KEY}: {path}: no such file; use new, champion, or the file of a model")
    read = _program if path.suffix == ".pt2" else _checkpoint
    model, about, told = read(path, names, side, settings)
    fixed = {"classes": list(names), "side": side, "dropout": settings.dropout, "temperature": 1.0}
    return model, {**about, **fixed}, told
