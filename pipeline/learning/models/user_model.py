"""A user's own model: a checkpoint of a timm network, or a program of `torch.export`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from pipeline.contracts import InputError
from pipeline.learning.models.backbone import ModelMetadata, create_timm_model, require_timm_model
from pipeline.learning.models.exported_program import ProgramNetwork
from pipeline.learning.models.weight_files import read_weights
from pipeline.learning.training_settings import PROGRAM_BACKBONE, UserModelSettings

MODEL_SETTING = "train.model"
CLASS_NAME_KEYS = ("class_to_idx", "classes", "class_names", "label_names")
"""Keys under which a checkpoint, or timm's `config.json` beside it, lists its classes in order."""


def _read_config_file(path: Path) -> dict[str, Any]:
    """Return timm's `config.json` beside the file, flattened; {} if missing."""
    file = path.with_name("config.json")
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {**content, **content.get("pretrained_cfg", {})}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{MODEL_SETTING}: {file}: cannot be read ({error}); repair or remove it"
        ) from error


def _extract_class_names(file_metadata: dict[str, Any]) -> list[str] | None:
    """Return the classes that a file names, in the order of its outputs; None if it names none."""
    for key in CLASS_NAME_KEYS:
        value = file_metadata.get(key)
        if isinstance(value, dict) and all(isinstance(item, int) for item in value.values()):
            return list(map(str, sorted(value, key=lambda name: int(value[name]))))
        if isinstance(value, (list, tuple)) and value:
            return list(map(str, value))
    return None


def _compute_class_order(
    path: Path,
    class_names: Sequence[str],
    configured_order: list[str] | None,
    file_order: list[str] | None,
) -> list[int]:
    """Return the output of the model for each class of the data.

    Raises:
        InputError: the classes differ.
    """
    order = configured_order or file_order or list(class_names)
    source = "train.class_order" if configured_order else str(path)
    if len(set(order)) < len(order):
        raise InputError(f"{source}: a class is listed twice")
    differences = []
    if unknown := sorted(set(order) - set(class_names)):
        differences.append(f"not in the data: {', '.join(unknown[:5])}")
    if missing := sorted(set(class_names) - set(order)):
        differences.append(f"missing: {', '.join(missing[:5])}")
    if differences:
        raise InputError(
            f"{MODEL_SETTING}: the classes of {source} are not those of the data "
            f"({'; '.join(differences)})"
        )
    return [order.index(name) for name in class_names]


def _resolve_normalization(
    settings: UserModelSettings, file_metadata: dict[str, Any], key: str
) -> list[float] | None:
    value = getattr(settings, key) or file_metadata.get(key)
    if value is None:
        return None
    try:
        return list(map(float, value))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{MODEL_SETTING}: the file's {key} are no numbers; set train.{key}"
        ) from error


def _list_head_tensors(model: nn.Module) -> list[str]:
    head = cast(Any, model).pretrained_cfg.get("classifier") or ()
    layers = (head,) if isinstance(head, str) else head
    prefixes = tuple(f"{layer}." for layer in layers)
    return [name for name in model.state_dict() if name.startswith(prefixes)]


def _require_matching_weights(
    path: Path, backbone: str, model: nn.Module, state: dict[str, Tensor], class_count: int
) -> None:
    """Raise `InputError` unless the file has exactly the tensors of the network, in its shapes."""
    expected = model.state_dict()
    head_names = _list_head_tensors(model)
    mismatched = [k for k in expected if k not in state or state[k].shape != expected[k].shape]
    mismatched += [k for k in state if k not in expected]
    if mismatched and all(k in head_names and k in state for k in mismatched):
        n = len(state[mismatched[0]])
        raise InputError(
            f"{MODEL_SETTING}: {path}: its head answers with {n} classes, the data has "
            f"{class_count}; see ingest.data"
        )
    if mismatched:
        raise InputError(
            f"{MODEL_SETTING}: {path}: no checkpoint of train.backbone={backbone} "
            f"({len(mismatched)} tensors differ, first {mismatched[0]}); "
            "name its own there, and the image size that it was made for in ingest.side"
        )


def _load_checkpoint(
    path: Path, class_names: Sequence[str], side: int, settings: UserModelSettings
) -> tuple[nn.Module, ModelMetadata, bool]:
    require_timm_model(settings.backbone)
    state, file_metadata = read_weights(path, MODEL_SETTING)
    file_metadata |= _read_config_file(path)
    if (architecture := file_metadata.get("architecture")) and architecture != settings.backbone:
        raise InputError(
            f"{MODEL_SETTING}: {path}: its config.json names {architecture}; "
            f"set train.backbone={architecture}"
        )
    file_order = _extract_class_names(file_metadata)
    order = _compute_class_order(path, class_names, settings.class_order, file_order)
    model = create_timm_model(settings.backbone, len(class_names), side, drop_rate=settings.dropout)
    _require_matching_weights(path, settings.backbone, model, state, len(class_names))
    for head in _list_head_tensors(model):
        state[head] = state[head][order]
    model.load_state_dict(state)
    cfg = cast(Any, model).pretrained_cfg
    defaults = {**cfg, **file_metadata}
    meta = {
        "backbone": settings.backbone,
        "mean": _resolve_normalization(settings, defaults, "mean"),
        "std": _resolve_normalization(settings, defaults, "std"),
    }
    return model, meta, bool(settings.class_order or file_order)


def _load_program(
    path: Path, class_names: Sequence[str], side: int, settings: UserModelSettings
) -> tuple[nn.Module, ModelMetadata, bool]:
    model = ProgramNetwork(
        path, _compute_class_order(path, class_names, settings.class_order, None)
    )
    if model.side not in (None, side):
        raise InputError(
            f"{MODEL_SETTING}: {path}: takes images of {model.side} px; set "
            f"ingest.side={model.side}"
        )
    try:
        with torch.inference_mode():
            classes = model.compute_scores(
                torch.zeros(model.min_batch_size or 1, 3, side, side)
            ).shape[1]
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{MODEL_SETTING}: {path}: {str(error).splitlines()[0]} (tried with images of {side} "
            "px)"
        ) from error
    if classes != len(class_names):
        raise InputError(
            f"{MODEL_SETTING}: {path}: answers with {classes} classes, the data has "
            f"{len(class_names)}"
        )
    mean = _resolve_normalization(settings, {}, "mean")
    std = _resolve_normalization(settings, {}, "std")
    if mean is None or std is None:
        raise InputError(
            f"{MODEL_SETTING}: {path}: set train.mean and train.std, what its input is normalized "
            "with; for plain shares of full "
            "brightness [0, 0, 0] and [1, 1, 1]"
        )
    meta = {
        "backbone": PROGRAM_BACKBONE,
        "order": model.order.tolist(),
        "trains": any(p.requires_grad for p in model.parameters()),
        "mean": mean,
        "std": std,
    }
    return model, meta, bool(settings.class_order)


def load_user_model(
    path: Path, class_names: Sequence[str], side: int, settings: UserModelSettings
) -> tuple[nn.Module, ModelMetadata, bool]:
    """Return the user's network, its metadata, and whether the class order was configured.

    The outputs are reordered to `class_names`.

    Args:
        path: `.pt2` is a program of `torch.export.save` that maps float32 [N, 3, S, S] to scores
            [N, classes]. Any other file is a checkpoint of the timm network `settings.backbone`,
            loaded strictly, head included.
        class_names: names of the classes of the data.
        side: side of the images, in pixels.
        settings: settings of the user's model.

    Raises:
        InputError: the file, architecture, image size or classes do not match.
    """
    if not path.is_file():
        raise InputError(
            f"{MODEL_SETTING}: {path}: no such file; use new, champion, or the file of a model"
        )
    read = _load_program if path.suffix == ".pt2" else _load_checkpoint
    model, meta, is_order_known = read(path, class_names, side, settings)
    meta |= {
        "classes": list(class_names),
        "side": side,
        "dropout": settings.dropout,
        "temperature": 1.0,
    }
    return model, meta, is_order_known
