"""An MLflow pyfunc of a bundle. Its code is stored as a file, and nothing is pickled."""

from __future__ import annotations

import os
import re
import warnings
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from pipeline.contracts import InputError

MODEL_CODE_PATH = Path(__file__).with_name("mlflow_pyfunc.py")
PACKAGE_PATH = Path(__file__).resolve().parents[2]
INPUT_COLUMN_NAME = "image"
"""The input's column: each row a image file's bytes (over REST: base64)."""
_QUIET_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def list_requirements() -> list[str]:
    """What the package needs to run, at the versions installed here."""
    needed = [line for line in requires("nightshift") or [] if "extra ==" not in line]
    found = []
    for line in needed:
        name = re.split(r"[<>=!~ ;\[]", line, maxsplit=1)[0]
        try:
            found.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            found.append(line)
    return found


def write_pyfunc_model(bundle: Path, folder: Path) -> None:
    """Write an MLflow model into `folder`, which is made: the bundle, this package's code and its requirements.

    Raises `InputError` where MLflow is absent.
    """
    os.environ.update(
        {key: os.environ.get(key, value) for key, value in _QUIET_ENVIRONMENT.items()}
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import mlflow
            from mlflow.models import ModelSignature
            from mlflow.types import ColSpec, Schema
    except ImportError as error:
        raise InputError(
            "--format mlflow needs MLflow: pip install 'nightshift[mlflow]'"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(MODEL_CODE_PATH),
            artifacts={"bundle": str(bundle)},
            code_paths=[str(PACKAGE_PATH)],
            pip_requirements=list_requirements(),
            signature=ModelSignature(Schema([ColSpec("binary", INPUT_COLUMN_NAME)])),
        )
