"""Weight files: safetensors, and the tensors and plain data in files of `torch.save`."""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import clean_state_dict
from torch import Tensor

from pipeline.contracts import InputError
from pipeline.storage.user_files import MAX_MODEL_BYTES, check_user_file

STATE_DICT_KEYS = ("state_dict", "model")
"""Keys under which a checkpoint that holds more than tensors keeps them."""


def _load_weight_file(path: Path, setting_key: str) -> Any:
    check_user_file(path, MAX_MODEL_BYTES, f"the weights of {setting_key}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # timm's own checkpoints hold their arguments.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{setting_key}: {path}: holds more than weights, and is not unpickled"
        ) from error
    except (SafetensorError, RuntimeError, OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{setting_key}: {path}: cannot be read ({str(error).splitlines()[0]})"
        ) from error


def read_weights(path: Path, setting_key: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a file by name, and its other data.

    Prefixes of DDP and torch.compile are removed.

    Args:
        path: the file.
        setting_key: the setting that names the file, for error messages.

    Raises:
        InputError: the file cannot be read, or holds objects.
    """
    content = _load_weight_file(path, setting_key)
    tensors, other = _separate_tensors(content)
    for key in STATE_DICT_KEYS:
        if isinstance(other.get(key), dict):
            tensors, _ = _separate_tensors(other[key])
            break
    return clean_state_dict(tensors), other


def _separate_tensors(content: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a file's content and its other data, both by name."""
    tensors: dict[str, Tensor] = {}
    other: dict[str, Any] = {}
    for name, value in content.items() if isinstance(content, dict) else ():
        if isinstance(value, Tensor):
            tensors[str(name)] = value
        else:
            other[str(name)] = value
    return tensors, other
