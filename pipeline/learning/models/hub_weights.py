"""Initial weights of `train.weights: auto`: a stronger network where the hub answers."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import timm
from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.constants import HF_HUB_OFFLINE

from pipeline.contracts import InputError
from pipeline.learning.training_settings import PACKAGED_BACKBONE

HUB_BACKBONE = "efficientnet_b0.ra4_e3600_r224_in1k"
"""Taken in place of the packaged network: as fast, and 4 points more accurate on ImageNet at 224 px
(timm's table of results)."""
HUB_TIMEOUT = 3
"""Seconds until a hub that does not answer counts as out of reach; no start shall wait for long."""
_WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True)
class InitialWeights:
    """The network and the source of its weights, as `train.weights: auto` chose them.

    Attributes:
        backbone: name of the timm model.
        source: packaged or hub.
        obstacle: why the hub is not used; None if it is.
    """

    backbone: str
    source: str
    obstacle: str | None = None


def choose_initial_weights(backbone: str) -> InitialWeights:
    """Return the network and weights of `train.weights: auto`.

    The packaged backbone, which is the default, stands for any: where the hub answers, or has
    answered before, `HUB_BACKBONE` is taken. Another backbone is taken as it is.

    Args:
        backbone: the setting `train.backbone`.

    Raises:
        InputError: the hub is out of reach, and there is no package for this backbone.
    """
    wanted = HUB_BACKBONE if backbone == PACKAGED_BACKBONE else backbone
    obstacle = find_hub_obstacle(wanted)
    if obstacle is None:
        return InitialWeights(wanted, "hub")
    if backbone != PACKAGED_BACKBONE:
        raise InputError(
            f"train.weights: auto: {backbone} cannot be fetched ({obstacle}), and no package has "
            f"its weights; name a file of them, or set train.backbone: {PACKAGED_BACKBONE}"
        )
    return InitialWeights(PACKAGED_BACKBONE, "packaged", obstacle)


def find_hub_obstacle(backbone: str) -> str | None:
    """Return why the hub does not give the weights of a timm model, or None if it does.

    Args:
        backbone: name of the timm model.
    """
    cfg = timm.get_pretrained_cfg(backbone)
    repository = cfg.hf_hub_id if cfg else None
    if not repository:
        return "timm names no repository for it"
    if isinstance(try_to_load_from_cache(repository, _WEIGHTS_FILE), str):
        return None
    if HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        get_hf_file_metadata(hf_hub_url(repository, _WEIGHTS_FILE), timeout=HUB_TIMEOUT)
    except Exception as error:  # whatever the network layer of the day raises
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None
