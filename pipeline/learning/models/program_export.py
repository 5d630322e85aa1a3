"""A `DecisionModule` as a file: an ONNX graph, or a program of `torch.export`.

The batch size is free in both.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from pipeline.contracts import InputError
from pipeline.learning.models.decision_module import OUTPUT_NAMES, DecisionModule
from pipeline.learning.models.exported_program import ProgramNetwork

METADATA_KEY = "nightshift"
"""The key under which a file says what it holds, as JSON."""
INPUT_NAME, OPSET_VERSION = "pixels", 20


def _create_example_input(side: int) -> torch.Tensor:
    return torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8)


def _create_dynamic_shapes() -> dict[str, Any]:
    return {INPUT_NAME: {0: torch.export.Dim("batch")}}


@contextlib.contextmanager
def _silence_exporter() -> Iterator[None]:
    """Suppress the progress and the deprecation warnings of the exporter."""
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
    logging.getLogger("torch.onnx").setLevel(level)


@contextlib.contextmanager
def _explain_refusal(format_name: str) -> Iterator[None]:
    """Turn an error of torch's exporter, which has no common base, into one line.

    Raises:
        InputError: the network cannot be exported.
    """
    try:
        yield
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"--format {format_name}: torch cannot export this model ({reason}); "
            "a user's own program needs a free batch size; --format safetensors works for any"
        ) from error


def _require_free_batch(decision_module: DecisionModule, format_name: str) -> None:
    """Raise `InputError` if the network is a user's program for batches of one size."""
    network = decision_module.network
    if isinstance(network, ProgramNetwork) and not network.has_free_batch:
        raise InputError(
            f"--format {format_name}: {network.path} takes batches of one size; "
            "export the network with a free batch size; --format safetensors works for any"
        )


def write_onnx_file(
    decision_module: DecisionModule, side: int, path: Path, file_metadata: Mapping[str, Any]
) -> None:
    """Write one ONNX file with its weights inside.

    Its input is `pixels`, uint8 [batch, side, side, 3]; its outputs are `OUTPUT_NAMES`.

    Args:
        decision_module: the module to export.
        side: side of the images, in pixels.
        path: the file to write.
        file_metadata: stored in the file's metadata.

    Raises:
        InputError: a package of the exporter is missing, or torch cannot export the network.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  # what torch's exporter needs
    except ImportError as error:
        raise InputError(
            "--format onnx needs onnx and onnxscript: pip install 'nightshift[onnx]'"
        ) from error
    _require_free_batch(decision_module, "onnx")
    with _silence_exporter(), _explain_refusal("onnx"):
        exported = torch.onnx.export(
            decision_module,
            (_create_example_input(side),),
            input_names=[INPUT_NAME],
            output_names=list(OUTPUT_NAMES),
            dynamic_shapes=_create_dynamic_shapes(),
            opset_version=OPSET_VERSION,
            dynamo=True,
        )
    model = exported.model_proto  # type: ignore[union-attr]
    for node in model.graph.node:
        del node.metadata_props[:]  # the exporter's stack traces, with paths of this machine
        node.doc_string = ""
    onnx.helper.set_model_props(
        model, {METADATA_KEY: json.dumps(file_metadata, ensure_ascii=False)}
    )
    onnx.save(model, str(path))


def write_torch_program(
    decision_module: DecisionModule, side: int, path: Path, file_metadata: Mapping[str, Any]
) -> None:
    """Write a program for `torch.export.load`, called like the ONNX graph.

    Args:
        decision_module: the module to export.
        side: side of the images, in pixels.
        path: the file to write.
        file_metadata: stored as the extra file `nightshift`.

    Raises:
        InputError: torch cannot export the network.
    """
    _require_free_batch(decision_module, "torch")
    extra_files = {METADATA_KEY: json.dumps(file_metadata, ensure_ascii=False)}
    content = io.BytesIO()  # torch's own writer hides the error of a full disk
    with _silence_exporter(), _explain_refusal("torch"):
        program = torch.export.export(
            decision_module, (_create_example_input(side),), dynamic_shapes=_create_dynamic_shapes()
        )
        torch.export.save(program, content, extra_files=extra_files)
    path.write_bytes(content.getbuffer())
