"""Stage `split`: assign whole groups to train, val and test, permanently."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipeline.config import StageSettings
from pipeline.contracts import InputError, StageContext, StageOutputs
from pipeline.data.quality.duplicate_pairs import find_duplicate_pairs
from pipeline.data.quality.group_splits import (
    SPLIT_NAMES,
    SplitShares,
    assign_validation_folds,
    compute_group_positions,
    find_group_components,
    find_leak_reasons,
    find_sufficient_salt,
    hash_group,
)
from pipeline.data.quality.near_duplicates import build_duplicates_table
from pipeline.data.quality.reach_forecast import forecast_reach
from pipeline.data.quality.split_notes import (
    MANY_LEAKS_DIVISOR,
    describe_duplicates,
    describe_leaks,
    describe_power,
    describe_split_sizes,
    describe_tied_groups,
)
from pipeline.data.quality.split_strata import draw_stratified_part, list_strata
from pipeline.data.quality.split_strategies import (
    assign_split_by_site,
    assign_split_by_time,
    compute_split_times,
)
from pipeline.data.tables.row_filter import evaluate_row_filter
from pipeline.domain.split_exclusions import SplitExclusion
from pipeline.domain.statuses import ExclusionKind
from pipeline.report.sentences.conditions.reach_sentences import describe_reach_forecasts


class Config(StageSettings):
    """Shares, folds, and the training rows that count."""

    val: float = Field(
        0.2, gt=0, lt=1, description="share of the groups on which failures are sought"
    )
    test: float = Field(
        0.2, gt=0, lt=1, description="share of the groups that stays sealed until compare"
    )
    folds: int = Field(5, ge=2, le=20, description="grouped folds of val")
    salt: str = Field("nightshift", description="another salt draws another split")
    strategy: Literal["hash", "time", "site"] = Field(
        "hash", description="assign groups by the hash of their name, by time, or by site"
    )
    val_from: datetime | None = Field(
        None, description="strategy time: start of val; empty: by share"
    )
    test_from: datetime | None = Field(
        None, description="strategy time: start of test; empty: by share"
    )
    site_column: str | None = Field(
        None, description="strategy site: column that names the site, such as city or camera"
    )
    test_sites: tuple[str, ...] = Field(
        (), description="strategy site: sites that are test; empty: drawn by hash"
    )
    val_sites: tuple[str, ...] = Field(
        (), description="strategy site: sites that are val; empty: drawn by hash"
    )
    join_duplicate_groups: bool = Field(
        False,
        description="keep groups that share an image in one split; new images may then move old "
        "groups",
    )
    train_where: str | None = Field(
        None, description='condition that training rows must meet, such as "luminance >= 70"'
    )
    near_duplicates: int = Field(
        4, ge=-1, le=16, description="bits (of 64) in which near-duplicates may differ; -1: off"
    )

    @model_validator(mode="after")
    def _check_strategy_settings(self) -> Config:
        if self.strategy == "site" and not self.site_column:
            raise ValueError("split.strategy is site: name its column in split.site_column")
        if self.strategy != "site" and (self.site_column or self.test_sites or self.val_sites):
            raise ValueError(
                "split.site_column, test_sites and val_sites count with split.strategy=site only"
            )
        if self.strategy != "time" and (self.val_from or self.test_from):
            raise ValueError("split.val_from and test_from count with split.strategy=time only")
        if self.val_from and self.test_from and self.val_from >= self.test_from:
            raise ValueError("split.val_from must be before split.test_from")
        return self

    @field_validator("test")
    @classmethod
    def _check_split_shares(cls, test: float, info: ValidationInfo) -> float:
        if test + info.data.get("val", 0.0) >= 1:
            raise ValueError(
                "split.val and split.test leave nothing to train on; their sum must be below 1"
            )
        return test

    @property
    def shares(self) -> SplitShares:
        """Return the shares of val and test."""
        return SplitShares(self.val, self.test)


def run(
    config: Config,
    context: StageContext,
    *,
    images: pd.DataFrame,
    attributes: pd.DataFrame,
    pixels: NDArray[np.uint8],
    classes: dict[str, list[str]],
) -> StageOutputs:
    """Return `splits` (train, val, test or left_out, and the folds of val) and `duplicates`.

    The split follows from salt and group alone, so that it stays when images are added, or from
    dates or sites that the config names. A split that the data set gives is kept. Images of val
    and test whose bytes, group or near-duplicate are in train too are left out.

    Args:
        config: settings of the stage.
        context: seed, progress, notes and folders.
        images: the artifact of that name, as the further arguments.

    Raises:
        InputError: train, val or test would be empty.
    """
    images = images.reset_index(drop=True)
    pairs = find_duplicate_pairs(
        images, pixels, config.near_duplicates, context.track_progress, context.add_note
    )
    components = find_group_components(images, pairs)
    group_codes = pd.factorize(images["group"])[0].astype(np.int64)
    units = components if config.join_duplicate_groups else group_codes
    split = _assign_splits(config, context, images, units)
    duplicates = build_duplicates_table(images, pairs, split)
    reasons = find_leak_reasons(images, split, components)
    leaked_count = int((reasons.notna() & split.isin(("val", "test"))).sum())
    if config.train_where:
        reasons = _filter_training_rows(config.train_where, images, attributes, split, reasons)
    split = split.mask(reasons.notna(), "left_out")
    _require_all_splits(config, images, split, units, leaked_count)
    is_val = (split == "val").to_numpy()
    folds = np.full(len(images), -1)
    folds[is_val] = assign_validation_folds(
        images.loc[is_val, "label"], components[is_val], config.folds, context.seed
    )
    notes = [
        *describe_leaks(split, leaked_count, is_by_hash=config.strategy == "hash"),
        *describe_split_sizes(images, split, classes["names"]),
        *describe_duplicates(duplicates),
        *describe_tied_groups(images["group"].nunique(), len(np.unique(components))),
        *describe_power(images, split),
        *describe_reach_forecasts(forecast_reach(images, split)),
    ]
    for line in notes:
        context.add_note(line)
    columns = {"image_id": images["image_id"], "split": split, "fold": folds, "reason": reasons}
    return {"splits": pd.DataFrame(columns), "duplicates": duplicates}


def _assign_splits(
    config: Config, context: StageContext, images: pd.DataFrame, units: NDArray[np.int64]
) -> pd.Series[str]:
    """Return train, val or test for each image: as the data set gives it, else by the strategy."""
    if config.strategy == "time":
        return _split_by_time(config, context, images)
    if config.strategy == "site":
        return _split_by_site(config, images)
    positions = compute_group_positions(images["group"], units, config.salt)
    drawn = pd.Series(config.shares.assign_splits(positions), images.index, dtype="str")
    given = images["given_split"].astype("str")
    if given.isna().all():
        return drawn
    if given.isna().any():
        count = int(given.isna().sum())
        context.add_note(f"{count} images have no given split; theirs is drawn by group")
        return given.fillna(given.groupby(units).transform("first")).fillna(drawn)
    missing = [name for name in ("val", "test") if not (given == name).any()]
    if "val" in missing:
        context.add_note("the given split has no val; drawn from its train part by group")
        given = given.mask((given == "train") & (drawn == "val"), drawn)
    if "test" in missing:
        strata = list_strata(images)
        context.add_note(
            "the given split has no test; drawn from all its parts by group, with a share of each "
            f"{', '.join(strata.columns) or 'group'}"
        )
        is_test = draw_stratified_part(strata, units, positions, config.test)
        given = given.mask(is_test, "test")
    return given


def _split_by_time(config: Config, context: StageContext, images: pd.DataFrame) -> pd.Series[str]:
    drawn = compute_split_times(images, (config.val + config.test, config.test))
    starts = []
    for configured, by_share in zip((config.val_from, config.test_from), drawn, strict=True):
        starts.append(pd.Timestamp(configured).tz_localize(None) if configured else by_share)
    if config.val_from is None or config.test_from is None:
        settings = [f"{start:%Y-%m-%dT%H:%M:%S}" for start in starts]
        context.add_note(
            "to keep this split when images are added, "
            f"set split.val_from={settings[0]} split.test_from={settings[1]}"
        )
    return assign_split_by_time(images, *starts)


def _split_by_site(config: Config, images: pd.DataFrame) -> pd.Series[str]:
    def draw_split(name: str, is_test_allowed: bool) -> str:
        position = hash_group(name, config.salt)
        if not is_test_allowed:
            position = config.test + position * (1 - config.test)
        return str(config.shares.assign_splits(np.array([position]))[0])

    return assign_split_by_site(
        images, str(config.site_column), config.test_sites, config.val_sites, draw_split
    )


def _filter_training_rows(
    condition: str,
    images: pd.DataFrame,
    attributes: pd.DataFrame,
    split: pd.Series[str],
    reasons: pd.Series[str],
) -> pd.Series[str]:
    """Return `reasons` with one for each training row that does not meet the condition."""
    known = attributes.set_index("image_id").loc[images["image_id"]].reset_index(drop=True)
    table = known.join(images.drop(columns=images.columns.intersection(known.columns)))
    is_met = pd.Series(evaluate_row_filter(condition, table, "split.train_where"))
    is_train = split == "train"
    if not (is_train & is_met).any():
        raise InputError(f"split.train_where: no training image satisfies {condition!r}")
    exclusion = SplitExclusion(ExclusionKind.CONDITION_NOT_MET, condition=condition)
    return reasons.mask(is_train & ~is_met, exclusion.dump_json())


def _require_all_splits(
    config: Config,
    images: pd.DataFrame,
    split: pd.Series[str],
    units: NDArray[np.int64],
    leaked_count: int,
) -> None:
    """Raise `InputError` with the way to fix it if train, val or test is empty."""
    empty = [name for name in SPLIT_NAMES if not (split == name).any()]
    if not empty:
        return
    names = " and ".join(empty)
    has_given_split = images["given_split"].notna().any()
    has_many_leaks = leaked_count * MANY_LEAKS_DIVISOR > len(images)
    if has_many_leaks and config.strategy == "hash" and not has_given_split:
        raise InputError(
            f"split.near_duplicates: no image is left in {names}: {leaked_count:,} of "
            f"{len(images):,} images are copies of images in another split; lower it (-1: bytes "
            "alone count), or set split.join_duplicate_groups=true"
        )
    if config.strategy != "hash":
        raise InputError(
            f"split.strategy: by {config.strategy} no image is left in {names} (images and groups "
            "that are in train too are left out); set other dates or sites, or check ingest.group"
        )
    if has_given_split:
        raise InputError(
            f"ingest.data: the given split leaves no image in {names} (images and groups that are "
            "in train too are left out); check ingest.group, or remove the split from the data set"
        )
    salt = find_sufficient_salt(images["group"], units, config.salt, config.shares)
    remedy = f"set split.salt={salt}" if salt else "set another ingest.group"
    raise InputError(
        f"split.salt: the images form {len(np.unique(units))} groups, too few to share out: none "
        f"fell to {' or '.join(empty)}; {remedy}, or add images of more groups"
    )
