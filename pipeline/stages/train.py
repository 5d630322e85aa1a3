"""Fine-tunes a backbone, or takes the champion or a user's own model; watches the gap between train and a holdout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline import champion
from pipeline.contracts import Context, InputError, Made
from pipeline.learning.settings import HISTORY, FitSettings, GivenSettings
from pipeline.store import Run, digest, key_of

if TYPE_CHECKING:
    from pipeline.learning.batches import Photos

LOOKED_AT = 512  # training photos that a given model is asked about


class Config(GivenSettings, FitSettings):
    """Settings of the training."""

    model: str = Field(
        "new", description="new: train one; champion, or the file of a model of your own: take it as it is"
    )
    holdout: float = Field(
        0.1, gt=0, le=0.5, description="share of train, by whole groups, for early stop and temperature"
    )

    @property
    def file(self) -> Path | None:
        """The user's own model, where it is one."""
        return None if self.model in ("new", "champion") else Path(self.model)

    @model_validator(mode="after")
    def _of_its_own(self) -> Config:
        for key in ("class_order", "mean", "std"):
            if self.file is None and getattr(self, key) is not None:
                raise ValueError(f"train.{key} is told of a model of your own: set train.model to its file")
        return self


def fingerprint(config: Config, run: Path, before: str | None) -> str:
    """What this stage takes from outside the run: the champion, or files of weights. Part of the stage's key.

    A run takes the champion that was in force when it began (`before`: which it took then): what it promotes later,
    itself or another, does not start it anew.
    """
    if config.model == "champion" and before is not None:
        return before
    if config.model == "champion" and (known := champion.taken(run)):
        return champion.mark(champion.bundle(run.parent, known))
    if config.file:
        files = [f for f in (config.file, config.file.with_name("config.json")) if f.is_file()]
        return key_of([digest(f) for f in files])
    weights = Path(config.weights)
    return digest(weights) if config.weights not in ("packaged", "hub", "none") and weights.is_file() else ""


def _changed(known: list[str], names: list[str]) -> str:
    """How the classes of the data differ from those that a champion knows."""
    new, missing = sorted(set(names) - set(known)), sorted(set(known) - set(names))
    told = [("new in the data", new), ("without a photo now", missing)]
    return "; ".join(f"{words}: {', '.join(found)}" for words, found in told if found)


def _relabelled(home: Path, run_id: str, images: pd.DataFrame) -> str:
    """A line on the photos whose label is another than in the champion's run; empty for none, or where it is gone."""
    try:
        known = Run.open(home / run_id).load("images").drop_duplicates("image_id").set_index("image_id")["label"]
    except InputError:
        return ""
    before = images["image_id"].map(known)
    moved = images[before.notna() & images["label"].notna() & (before != images["label"])]
    if moved.empty:
        return ""
    first = moved.iloc[0]
    example = f"such as {first['path']}: {before[moved.index[0]]}, now {first['label']}"
    return f"labels changed since the champion's run: {len(moved):,}, {example}"


def _taken(folder: Path, context: Context, names: list[str], side: int, share: float) -> Made:
    """The champion as this run's model, with nothing learnt."""
    from pipeline.learning.backbone import load_model

    model, meta = load_model(folder)
    if meta["classes"] != names:
        raise InputError(
            f"train.model: the champion was made for other classes ({_changed(meta['classes'], names)}); set it to new"
        )
    if meta["side"] != side:
        raise InputError(f"train.model: the champion looks at {meta['side']} px; set ingest.side={meta['side']}")
    context.note(f"took the champion of run {folder.parent.parent.name} as it is")
    return _as_it_is("the champion", model, meta, context, share)


def _as_it_is(what: str, model: Any, meta: dict[str, Any], context: Context, share: float) -> Made:
    from pipeline.learning.backbone import save_model

    record = {
        "best_step": 0,
        "steps": 0,
        "passes": 0,
        "temperature": float(meta.get("temperature") or 1.0),
        "overfitting_from": None,
        "judgement": f"{what} was taken as it is: nothing was trained",
        "holdout": {"share": share, "seed": context.seed},
    }
    history = pd.DataFrame(columns=list(HISTORY)).astype(HISTORY)
    return {"model": save_model(context.scratch / "model", model, meta), "history": history, "training": record}


def _given(config: Config, path: Path, context: Context, photos: Photos, names: list[str]) -> Made:
    """A user's own model as this run's, with nothing learnt; photos: of train."""
    from pipeline.learning.given import take
    from pipeline.learning.predict import logits
    from pipeline.learning.settings import PROGRAM

    model, meta, told = take(path, names, int(photos.pixels.shape[1]), config)
    some = photos.take(np.sort(np.random.default_rng(context.seed).permutation(len(photos))[:LOOKED_AT]))
    right = int((logits(model, some.load(), meta).argmax(1) == some.labels).sum())
    context.note(
        f"took {path.name} as it is; of {len(some):,} training photos it answers {right:,} as they are labelled. "
        "What it has learnt from is not known here: photos of val or test that it has seen make it look better"
    )
    if not told:
        context.note(f"{path.name} names no classes: its answers are taken in sorted order; else set train.class_order")
    if meta["backbone"] == PROGRAM:
        how = "with its norms and dropout as exported" if meta["trains"] else "not at all: it has no weights that learn"
        context.note(f"{path.name} is a program of torch.export: every stage asks it; retrain trains it further {how}")
    return _as_it_is(path.name, model, meta, context, config.holdout)


def _check_classes(
    context: Context, images: pd.DataFrame, splits: pd.DataFrame, names: list[str], seen: set[str]
) -> None:
    """Raise `InputError` below two classes; note each class of which there is nothing to learn from."""
    if len(seen) < 2:
        there = f"only {next(iter(seen))}" if seen else "no labelled photo"
        raise InputError(f"train: the training part holds {there}; two classes are needed; see split.train_where")
    val = images.loc[(splits["split"] == "val").to_numpy(), "label"].value_counts()
    for name in names:
        if name not in seen:
            n = int(val.get(name, 0))
            context.note(f"class {name} is absent from train: its {n} photos of val cannot be recognised")


def _record(fitted: Any, temperature: float, holdout: dict[str, Any]) -> dict[str, Any]:
    from pipeline.learning.judgement import judgement, overfitting_from

    return {
        "best_step": fitted.best_step,
        "steps": fitted.steps,
        "passes": fitted.passes,
        "temperature": temperature,
        "overfitting_from": overfitting_from(fitted.history),
        "judgement": judgement(fitted.history, fitted.best_step),
        "holdout": holdout,
    }


def _trained(
    config: Config,
    context: Context,
    images: pd.DataFrame,
    splits: pd.DataFrame,
    pixels: NDArray[np.uint8],
    names: list[str],
) -> Made:
    from pipeline.learning.backbone import build, save_model
    from pipeline.learning.calibration import fit_temperature
    from pipeline.learning.fit import fit
    from pipeline.learning.holdout import hold_out, training_photos
    from pipeline.learning.predict import logits

    photos = training_photos(images, splits, pixels, names)
    _check_classes(context, images, splits, names, {names[k] for k in np.unique(photos.labels)})
    groups = images["group"].to_numpy(dtype=str)
    rest, held = hold_out(photos, groups[photos.rows], config.holdout, context.seed)
    if not held:
        context.note("train has too few groups for a holdout: no early stop, no temperature, the gap is not judged")
    weights, dropout = config.weights, config.dropout
    model, meta = build(config.backbone, weights, names, int(pixels.shape[1]), dropout, seed=context.seed)
    fitted = fit(
        model,
        meta,
        rest,
        config,
        holdout=held,
        seed=context.seed,
        scratch=context.scratch / "fit",
        track=context.track,
        note=context.note,
    )
    temperature = fit_temperature(logits(fitted.model, held.load(), meta), held.labels)
    holdout = {"share": config.holdout, "seed": context.seed, "photos": len(held)}
    saved = save_model(context.scratch / "model", fitted.model, meta | {"temperature": temperature})
    return {"model": saved, "history": fitted.history, "training": _record(fitted, temperature, holdout)}


def run(
    config: Config,
    context: Context,
    *,
    images: pd.DataFrame,
    pixels: NDArray[np.uint8],
    classes: dict[str, list[str]],
    splits: pd.DataFrame,
) -> Made:
    """Train on the labelled photos of `train` less a grouped holdout, or take the champion or a user's own model where
    that is asked for.

    Makes `model` (its temperature set on the holdout), `history` and `training`. Raises `InputError` where there are
    fewer than two classes to learn, the weights do not fit, or the model taken was made for other classes.
    """
    names, side = list(classes["names"]), int(pixels.shape[1])
    known = champion.taken(context.home / context.run_id) if config.model == "champion" else None
    folder = champion.bundle(context.home, known)
    if known and folder:
        if line := _relabelled(context.home, str(known["run_id"]), images):
            context.note(line)
        return _taken(folder, context, names, side, config.holdout)
    if config.file:
        from pipeline.learning.holdout import training_photos

        return _given(config, config.file, context, training_photos(images, splits, pixels, names), names)
    if config.model == "champion":
        context.note("there is no champion yet: a new model is trained")
    return _trained(config, context, images, splits, pixels, names)
