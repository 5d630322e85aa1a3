"""Fine-tunes a backbone, or takes the champion or a user's own model; watches the gap between train and a holdout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline.contracts import InputError, StageContext, StageOutputs
from pipeline.learning.training_settings import HISTORY_DTYPES, FitSettings, UserModelSettings
from pipeline.storage import champion_registry
from pipeline.storage.artifact_store import RunFolder, compute_key, hash_content

if TYPE_CHECKING:
    from pipeline.learning.training.batch_sampling import TrainingImages

MAX_CHECKED_IMAGES = 512  # training images that a given model is asked about


class Config(UserModelSettings, FitSettings):
    """Settings of the training."""

    model: str = Field(
        "new",
        description="new: train one; champion, or the file of a model of your own: take it as it is",
    )
    holdout: float = Field(
        0.1,
        gt=0,
        le=0.5,
        description="share of train, by whole groups, for early stop and temperature",
    )

    @property
    def user_model_file(self) -> Path | None:
        """The user's own model, where it is one."""
        return None if self.model in ("new", "champion") else Path(self.model)

    @model_validator(mode="after")
    def _check_user_model_settings(self) -> Config:
        for key in ("class_order", "mean", "std"):
            if self.user_model_file is None and getattr(self, key) is not None:
                raise ValueError(
                    f"train.{key} is told of a model of your own: set train.model to its file"
                )
        return self


def fingerprint_external_inputs(
    config: Config, run_path: Path, earlier_fingerprint: str | None
) -> str:
    """What this stage takes from outside the run: the champion, or files of weights. Part of the stage's key.

    A run takes the champion that was in force when it began (`before`: which it took then): what it promotes later,
    itself or another, does not start it anew.
    """
    if config.model == "champion" and earlier_fingerprint is not None:
        return earlier_fingerprint
    if config.model == "champion" and (known := champion_registry.read_starting_champion(run_path)):
        return champion_registry.fingerprint_bundle(
            champion_registry.find_bundle(run_path.parent, known)
        )
    if config.user_model_file:
        files = [
            f
            for f in (config.user_model_file, config.user_model_file.with_name("config.json"))
            if f.is_file()
        ]
        return compute_key([hash_content(f) for f in files])
    weights = Path(config.weights)
    return (
        hash_content(weights)
        if config.weights not in ("packaged", "hub", "none") and weights.is_file()
        else ""
    )


def _describe_class_changes(champion_classes: list[str], class_names: list[str]) -> str:
    """How the classes of the data differ from those that a champion knows."""
    new, missing = (
        sorted(set(class_names) - set(champion_classes)),
        sorted(set(champion_classes) - set(class_names)),
    )
    told = [("new in the data", new), ("without a image now", missing)]
    return "; ".join(f"{words}: {', '.join(found)}" for words, found in told if found)


def _describe_relabeled_images(home: Path, run_id: str, images: pd.DataFrame) -> str:
    """A line on the images whose label is another than in the champion's run; empty for none, or where it is gone."""
    try:
        known = (
            RunFolder.open_existing(home / run_id)
            .load_artifact("images")
            .drop_duplicates("image_id")
            .set_index("image_id")["label"]
        )
    except InputError:
        return ""
    before = images["image_id"].map(known)
    moved = images[before.notna() & images["label"].notna() & (before != images["label"])]
    if moved.empty:
        return ""
    first = moved.iloc[0]
    example = f"such as {first['path']}: {before[moved.index[0]]}, now {first['label']}"
    return f"labels changed since the champion's run: {len(moved):,}, {example}"


def _adopt_champion(
    folder: Path, context: StageContext, class_names: list[str], side: int, holdout_share: float
) -> StageOutputs:
    """The champion as this run's model, with nothing learnt."""
    from pipeline.learning.models.backbone import load_model

    model, meta = load_model(folder)
    if meta["classes"] != class_names:
        raise InputError(
            f"train.model: the champion was made for other classes ({_describe_class_changes(meta['classes'], class_names)}); set it to new"
        )
    if meta["side"] != side:
        raise InputError(
            f"train.model: the champion looks at {meta['side']} px; set ingest.side={meta['side']}"
        )
    context.add_note(f"took the champion of run {folder.parent.parent.name} as it is")
    return _save_untrained_model("the champion", model, meta, context, holdout_share)


def _save_untrained_model(
    model_title: str, model: Any, meta: dict[str, Any], context: StageContext, holdout_share: float
) -> StageOutputs:
    from pipeline.learning.models.backbone import save_model

    record = {
        "best_step": 0,
        "steps": 0,
        "passes": 0,
        "temperature": float(meta.get("temperature") or 1.0),
        "overfitting_from": None,
        "judgement": f"{model_title} was taken as it is: nothing was trained",
        "holdout": {"share": holdout_share, "seed": context.seed},
    }
    history = pd.DataFrame(columns=list(HISTORY_DTYPES)).astype(HISTORY_DTYPES)
    return {
        "model": save_model(context.scratch_folder / "model", model, meta),
        "history": history,
        "training": record,
    }


def _adopt_user_model(
    config: Config,
    path: Path,
    context: StageContext,
    training_images: TrainingImages,
    class_names: list[str],
) -> StageOutputs:
    """A user's own model as this run's, with nothing learnt; images: of train."""
    from pipeline.learning.inference.model_outputs import compute_logits
    from pipeline.learning.models.user_model import load_user_model
    from pipeline.learning.training_settings import PROGRAM_BACKBONE

    model, meta, told = load_user_model(
        path, class_names, int(training_images.pixels.shape[1]), config
    )
    some = training_images.select_images(
        np.sort(
            np.random.default_rng(context.seed).permutation(len(training_images))[
                :MAX_CHECKED_IMAGES
            ]
        )
    )
    right = int((compute_logits(model, some.load_pixels(), meta).argmax(1) == some.labels).sum())
    context.add_note(
        f"took {path.name} as it is; of {len(some):,} training images it answers {right:,} as they are labeled. "
        "What it has learnt from is not known here: images of val or test that it has seen make it look better"
    )
    if not told:
        context.add_note(
            f"{path.name} names no classes: its answers are taken in sorted order; else set train.class_order"
        )
    if meta["backbone"] == PROGRAM_BACKBONE:
        how = (
            "with its norms and dropout as exported"
            if meta["trains"]
            else "not at all: it has no weights that learn"
        )
        context.add_note(
            f"{path.name} is a program of torch.export: every stage asks it; retrain trains it further {how}"
        )
    return _save_untrained_model(path.name, model, meta, context, config.holdout)


def _check_classes(
    context: StageContext,
    images: pd.DataFrame,
    splits: pd.DataFrame,
    class_names: list[str],
    training_classes: set[str],
) -> None:
    """Raise `InputError` below two classes; note each class of which there is nothing to learn from."""
    if len(training_classes) < 2:
        there = f"only {next(iter(training_classes))}" if training_classes else "no labeled image"
        raise InputError(
            f"train: the training part holds {there}; two classes are needed; see split.train_where"
        )
    val = images.loc[(splits["split"] == "val").to_numpy(), "label"].value_counts()
    for name in class_names:
        if name not in training_classes:
            n = int(val.get(name, 0))
            context.add_note(
                f"class {name} is absent from train: its {n} images of val cannot be recognized"
            )


def _build_training_record(
    fit_result: Any, temperature: float, holdout: dict[str, Any]
) -> dict[str, Any]:
    from pipeline.learning.training.overfitting import describe_overfitting, find_overfitting_step

    return {
        "best_step": fit_result.best_step,
        "steps": fit_result.steps,
        "passes": fit_result.passes,
        "temperature": temperature,
        "overfitting_from": find_overfitting_step(fit_result.history),
        "judgement": describe_overfitting(fit_result.history, fit_result.best_step),
        "holdout": holdout,
    }


def _train_model(
    config: Config,
    context: StageContext,
    images: pd.DataFrame,
    splits: pd.DataFrame,
    pixels: NDArray[np.uint8],
    class_names: list[str],
) -> StageOutputs:
    from pipeline.learning.inference.model_outputs import compute_logits
    from pipeline.learning.inference.temperature_scaling import fit_temperature
    from pipeline.learning.models.backbone import build_network, save_model
    from pipeline.learning.training.holdout_split import select_training_images, split_holdout
    from pipeline.learning.training.training_loop import fit_network

    photos = select_training_images(images, splits, pixels, class_names)
    _check_classes(
        context, images, splits, class_names, {class_names[k] for k in np.unique(photos.labels)}
    )
    groups = images["group"].to_numpy(dtype=str)
    rest, held = split_holdout(photos, groups[photos.image_rows], config.holdout, context.seed)
    if not held:
        context.add_note(
            "train has too few groups for a holdout: no early stop, no temperature, the gap is not judged"
        )
    weights, dropout = config.weights, config.dropout
    model, meta = build_network(
        config.backbone, weights, class_names, int(pixels.shape[1]), dropout, seed=context.seed
    )
    fitted = fit_network(
        model,
        meta,
        rest,
        config,
        holdout=held,
        seed=context.seed,
        scratch_folder=context.scratch_folder / "fit",
        track=context.track_progress,
        report_note=context.add_note,
    )
    temperature = fit_temperature(
        compute_logits(fitted.model, held.load_pixels(), meta), held.labels
    )
    holdout = {"share": config.holdout, "seed": context.seed, "images": len(held)}
    saved = save_model(
        context.scratch_folder / "model", fitted.model, meta | {"temperature": temperature}
    )
    return {
        "model": saved,
        "history": fitted.history,
        "training": _build_training_record(fitted, temperature, holdout),
    }


def run(
    config: Config,
    context: StageContext,
    *,
    images: pd.DataFrame,
    pixels: NDArray[np.uint8],
    classes: dict[str, list[str]],
    splits: pd.DataFrame,
) -> StageOutputs:
    """Train on the labeled images of `train` less a grouped holdout, or take the champion or a user's own model where
    that is asked for.

    Makes `model` (its temperature set on the holdout), `history` and `training`. Raises `InputError` where there are
    fewer than two classes to learn, the weights do not fit, or the model taken was made for other classes.
    """
    names, side = list(classes["names"]), int(pixels.shape[1])
    known = (
        champion_registry.read_starting_champion(context.runs_folder / context.run_id)
        if config.model == "champion"
        else None
    )
    folder = champion_registry.find_bundle(context.runs_folder, known)
    if known and folder:
        if line := _describe_relabeled_images(context.runs_folder, str(known["run_id"]), images):
            context.add_note(line)
        return _adopt_champion(folder, context, names, side, config.holdout)
    if config.user_model_file:
        from pipeline.learning.training.holdout_split import select_training_images

        return _adopt_user_model(
            config,
            config.user_model_file,
            context,
            select_training_images(images, splits, pixels, names),
            names,
        )
    if config.model == "champion":
        context.add_note("there is no champion yet: a new model is trained")
    return _train_model(config, context, images, splits, pixels, names)
