"""A head alone: what the rest of the network makes of photos is asked once, kept, and learnt from."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import Tensor, nn

from pipeline.contracts import InputError, Track
from pipeline.learning import ranks
from pipeline.learning.backbone import Meta
from pipeline.learning.batches import Part, Photos, Pixels, step_seed
from pipeline.learning.checkpoint import key_of, write
from pipeline.learning.predict import outputs
from pipeline.learning.settings import PROGRAM, FitSettings
from pipeline.learning.sources import Hosted

VIEWS = 4  # of each photo, drawn anew, that are kept at most
View = Callable[[Photos, int], Pixels]
"""(some photos, seed) -> their pixels as they are learnt from, uint8 [n, S, S, 3]."""


class Body(nn.Module):
    """A timm network without its head: photos to what the head sees, [n, D]."""

    def __init__(self, model: nn.Module) -> None:
        """model: whose parts it shares."""
        super().__init__()
        self.model = model
        self.width = int(cast(Any, model).head_hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """float [n, D] of photos float [n, 3, S, S]."""
        model = cast(Any, self.model)
        seen: Tensor = model.forward_head(model.forward_features(x), pre_logits=True)
        return seen


@dataclass(frozen=True)
class _Views:
    """Photos as they are seen at one time, made where they are read."""

    photos: Photos
    view: View
    seed: int

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, part: slice) -> Pixels:
        return self.view(self.photos.take(part), step_seed(self.seed, part.start))


def _views(settings: FitSettings, photos: int) -> int:
    """How many views of each of so many photos are kept: one an epoch, up to `VIEWS`."""
    return max(1, min(VIEWS, math.ceil(settings.passes / photos if settings.passes else settings.epochs)))


def embedded(body: Body, meta: Meta, photos: Photos, views: Sequence[Any], kept: Path, track: Track) -> Photos:
    """The photos, once a view, with what the head sees of them, float32 [views * n, D], as their pixels.

    views: of each, pixels uint8 [n, S, S, 3] where it is sliced. kept: the file that holds the embeddings, or will.
    """
    known = ranks.from_first(kept.is_file())
    rows = np.zeros((0, body.width), np.float32)
    if not known:
        rows = np.concatenate([outputs(body, pixels, meta, body.width, track=track) for pixels in views])
        if ranks.first():
            write(kept, lambda file: np.save(file, rows))
    if ranks.first():
        rows = np.load(kept, mmap_mode="r")
    if known:
        rows = ranks.from_first(rows)
    labels = np.tile(photos.labels, len(views))
    ids = [photos.ids[row] for row in photos.rows] * len(views) if photos.ids is not None else None
    return Photos(cast(Any, rows), np.arange(len(labels)), labels, ids)


def alone(
    model: nn.Module, photos: Photos, holdout: Photos | None, source: Hosted, *, seed: int, folder: Path, track: Track
) -> tuple[nn.Module, Photos, Photos | None, FitSettings]:
    """(the head; the photos and the holdout as it sees them; the settings of its training, of as many passes).

    Raises `InputError` where the model is a user's program. source: how photos are learnt from. folder: where
    embeddings are kept, under what they follow from.
    """
    meta = dict(source.meta)
    if meta["backbone"] == PROGRAM:
        raise InputError(f"retrain.head_only: a program of {PROGRAM} has no head of its own; leave it false")
    settings, body = source.settings, Body(model)
    key = hashlib.sha256(key_of(settings, seed, photos.rows, photos.labels, source.treatment is not None).encode())
    for weight in model.state_dict().values():
        key.update(weight.detach().cpu().numpy().tobytes())
    name = key.hexdigest()[:16]

    def view(some: Photos, own: int) -> Pixels:
        return source.seen(some, slice(0, len(some), 1), (own, own))

    views = [_Views(photos, view, step_seed(seed, number)) for number in range(_views(settings, len(photos)))]
    seen = embedded(body, meta, photos, views, folder / f"embeddings-{name}.npy", track)
    held = holdout
    if holdout:
        plain = Part(holdout.pixels, holdout.rows)
        held = embedded(body, meta, holdout, [plain], folder / f"held-{name}.npy", track)
    passes = settings.passes or max(1, round(settings.epochs * len(photos)))
    rest = {"head_only": False, "passes": passes, "small": 1.0, "frozen": 0.0, "compile": False}
    return cast(Any, model).get_classifier(), seen, held, settings.model_copy(update=rest)
