"""Fine-tunes a backbone, or takes the champion as it is; watches the gap between training photos and a holdout."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline import champion
from pipeline.contracts import Context, InputError, Made
from pipeline.learning.settings import HISTORY, BackboneSettings, FitSettings
from pipeline.store import Run, digest


class Config(BackboneSettings, FitSettings):
    """Settings of the training."""

    model: Literal["new", "champion"] = Field("new", description="train a new model, or take the champion as it is")
    holdout: float = Field(
        0.1, gt=0, le=0.5, description="share of train, by whole groups, for early stop and temperature"
    )


def fingerprint(config: Config, run: Path, before: str | None) -> str:
    """What this stage takes from outside the run: the champion, or a file of weights. Part of the stage's key.

    A run takes the champion that was in force when it began (`before`: which it took then): what it promotes later,
    itself or another, does not start it anew.
    """
    if config.model == "champion" and before is not None:
        return before
    if config.model == "champion" and (known := champion.taken(run)):
        return champion.mark(champion.bundle(run.parent, known))
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
    from pipeline.learning.backbone import load_model, save_model

    model, meta = load_model(folder)
    if meta["classes"] != names:
        raise InputError(
            f"train.model: the champion was made for other classes ({_changed(meta['classes'], names)}); set it to new"
        )
    if meta["side"] != side:
        raise InputError(f"train.model: the champion looks at {meta['side']} px; set ingest.side={meta['side']}")
    context.note(f"took the champion of run {folder.parent.parent.name} as it is")
    record = {
        "best_step": 0,
        "steps": 0,
        "passes": 0,
        "temperature": float(meta.get("temperature") or 1.0),
        "overfitting_from": None,
        "judgement": "the champion was taken as it is: nothing was trained",
        "holdout": {"share": share, "seed": context.seed},
    }
    history = pd.DataFrame(columns=list(HISTORY)).astype(HISTORY)
    return {"model": save_model(context.scratch / "model", model, meta), "history": history, "training": record}


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
    """Train on the labelled photos of `train` less a grouped holdout, or take the champion where that is asked for.

    Makes `model` (its temperature set on the holdout), `history` and `training`. Raises `InputError` where there are
    fewer than two classes to learn, the weights do not fit, or the champion was made for other classes.
    """
    names, side = list(classes["names"]), int(pixels.shape[1])
    known = champion.taken(context.home / context.run_id) if config.model == "champion" else None
    folder = champion.bundle(context.home, known)
    if known and folder:
        if line := _relabelled(context.home, str(known["run_id"]), images):
            context.note(line)
        return _taken(folder, context, names, side, config.holdout)
    if config.model == "champion":
        context.note("there is no champion yet: a new model is trained")
    return _trained(config, context, images, splits, pixels, names)
