"""The code inside an MLflow model of `nightshift export`: MLflow runs this file when it loads the model."""

from __future__ import annotations

from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from pipeline.serving.prediction.predictor import load_predictor


class PyfuncModel(PythonModel):
    """The model in force, with its corrections and its decline rule."""

    def load_context(self, context: Any) -> None:
        """Load the bundle that lies in the model."""
        self.predictor = load_predictor(context.artifacts["bundle"])

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """One row a image, columns as those of `nightshift predict`. model_input: a column of image files' bytes."""
        return self.predictor.predict(bytes(image) for image in model_input.iloc[:, 0])


set_model(PyfuncModel())
