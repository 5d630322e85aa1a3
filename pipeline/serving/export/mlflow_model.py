"""A bundle as an MLflow pyfunc; its code is stored as files, and nothing is pickled."""

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
"""Column of the input; each row holds the bytes of an image file (over REST in base64)."""
_QUIET_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def list_requirements() -> list[str]:
    """Return the packages that this one needs to run, at the versions installed here."""
    pinned = []
    for line in requires("nightshift") or []:
        if "extra ==" in line:
            continue
        name = re.split(r"[<>=!~ ;\[]", line, maxsplit=1)[0]
        try:
            pinned.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            pinned.append(line)
    return pinned


def write_pyfunc_model(bundle: Path, folder: Path) -> None:
    """Write an MLflow model into a new folder: bundle, code of this package, and requirements.

    Raises:
        InputError: MLflow is not installed.
    """
    for key, value in _QUIET_ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import mlflow
            from mlflow.models import ModelSignature
            from mlflow.types import ColSpec, Schema
        except ImportError as error:
            raise InputError(
                "--format mlflow needs MLflow: pip install 'nightshift[mlflow]'"
            ) from error
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(MODEL_CODE_PATH),
            artifacts={"bundle": str(bundle)},
            code_paths=[str(PACKAGE_PATH)],
            pip_requirements=list_requirements(),
            signature=ModelSignature(Schema([ColSpec("binary", INPUT_COLUMN_NAME)])),
        )
