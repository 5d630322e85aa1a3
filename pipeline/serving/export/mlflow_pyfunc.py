"""The code inside an exported MLflow model, which MLflow runs when it loads the model."""

from __future__ import annotations

from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from pipeline.serving.prediction.predictor import load_predictor


class PyfuncModel(PythonModel):
    """A model with its corrections and its decline rule."""

    def load_context(self, context: Any) -> None:
        """Load the bundle among the model's artifacts."""
        self.predictor = load_predictor(context.artifacts["bundle"])

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return one row for each image, with the columns of `nightshift predict`.

        Args:
            context: MLflow's context, not used.
            model_input: one column, the bytes of image files.
            params: MLflow's parameters, not used.
        """
        return self.predictor.predict(bytes(image) for image in model_input.iloc[:, 0])


set_model(PyfuncModel())
