"""split: train / val / test by a permanent hash of the group; what belongs together stays together."""

from __future__ import annotations

import hashlib
import warnings
from datetime import datetime
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator, model_validator
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from pipeline.config import StageSettings
from pipeline.contracts import InputError, StageContext, StageOutputs
from pipeline.data.quality.near_duplicates import (
    build_duplicates_table,
    find_exact_duplicates,
    find_near_duplicates,
)
from pipeline.data.quality.split_strategies import (
    assign_split_by_site,
    assign_split_by_time,
    compute_split_times,
)
from pipeline.data.reading.row_filter import evaluate_row_filter
from pipeline.statistics.permutation_tests import DEFAULT_TEST_LIMITS
from pipeline.statistics.test_power import compute_detectable_excess

SPLIT_NAMES = ("train", "val", "test")
_MAX_COMPARED_IMAGES = 50_000
_MISSING_CLASS_EFFECTS = {
    "train": "the model cannot learn it",
    "val": "no failure of it can be found",
    "test": "it is not judged",
}


class Config(StageSettings):
    """Shares, folds, and which training rows count."""

    val: float = Field(0.2, gt=0, lt=1, description="share of the groups to find failures on")
    test: float = Field(
        0.2, gt=0, lt=1, description="share of the groups that stays sealed until compare"
    )
    folds: int = Field(5, ge=2, le=20, description="grouped folds of val")
    salt: str = Field("nightshift", description="another salt draws another split")
    strategy: Literal["hash", "time", "site"] = Field(
        "hash", description="what decides: the group's hash, time, or site"
    )
    val_from: datetime | None = Field(None, description="by time: val begins here; empty: by share")
    test_from: datetime | None = Field(
        None, description="by time: test begins here; empty: by share"
    )
    site_column: str | None = Field(
        None, description="by site: the column that names it, such as city or camera"
    )
    test_sites: tuple[str, ...] = Field(
        (), description="by site: these are test; empty: drawn by hash"
    )
    val_sites: tuple[str, ...] = Field(
        (), description="by site: these are val; empty: drawn by hash"
    )
    join_duplicate_groups: bool = Field(
        False,
        description="groups that share a image go together; then new images may move old ones",
    )
    train_where: str | None = Field(
        None, description='keeps training rows only where this holds: "luminance >= 70"'
    )
    near_duplicates: int = Field(
        4, ge=-1, le=16, description="bits (of 64) in which near-duplicates differ; -1: off"
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


def hash_group(group: str, salt: str) -> float:
    """The permanent place of a group in [0, 1): the first 64 bits of SHA-256 of salt and group."""
    return (
        int.from_bytes(hashlib.sha256(f"{salt}\0{group}".encode("utf-8", "replace")).digest()[:8])
        / 2**64
    )


def _find_components(images: pd.DataFrame, pairs: pd.DataFrame) -> NDArray[np.int64]:
    """Number of the component of each row: groups that share a image are one component. int64 [images]."""
    codes = pd.factorize(images["group"])[0]
    count = int(codes.max()) + 1
    one, other = codes[pairs["one"]], codes[pairs["other"]]
    graph = coo_array((np.ones(len(pairs), np.int8), (one, other)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)[codes]


def _compute_group_positions(
    groups: pd.Series[str], components: NDArray[np.int64], salt: str
) -> NDArray[np.float64]:
    """The place in [0, 1) of each row: its group's, or where groups are tied, that of the one with the least tie hash.

    (The least place of the tied groups would favor the test split.)
    """
    table = pd.DataFrame({"group": groups.to_numpy(), "component": components}).drop_duplicates()
    table["tie"] = [hash_group(group, f"{salt}\0tie") for group in table["group"]]
    first = table.sort_values("tie").drop_duplicates("component").set_index("component")["group"]
    place = {component: hash_group(group, salt) for component, group in first.items()}
    return np.array([place[component] for component in components])


def _assign_by_position(positions: NDArray[np.float64], config: Config) -> NDArray[np.str_]:
    return np.select(
        [positions < config.test, positions < config.test + config.val], ["test", "val"], "train"
    )


def _split_by_time(config: Config, context: StageContext, images: pd.DataFrame) -> pd.Series[str]:
    drawn = compute_split_times(images, (config.val + config.test, config.test))
    given = (config.val_from, config.test_from)
    cuts = [
        pd.Timestamp(g).tz_localize(None) if g else d for g, d in zip(given, drawn, strict=True)
    ]
    if None in given:
        val, test = (f"{cut:%Y-%m-%dT%H:%M:%S}" for cut in cuts)
        context.add_note(
            f"to keep this split when images are added, set split.val_from={val} split.test_from={test}"
        )
    return assign_split_by_time(images, *cuts)


def _split_by_site(config: Config, images: pd.DataFrame) -> pd.Series[str]:
    def drawn(name: str, whole: bool) -> str:
        place = hash_group(name, config.salt)
        return str(
            _assign_by_position(
                np.array([place if whole else config.test + place * (1 - config.test)]), config
            )[0]
        )

    return assign_split_by_site(
        images, str(config.site_column), config.test_sites, config.val_sites, drawn
    )


def _assign_splits(
    config: Config, context: StageContext, images: pd.DataFrame, components: NDArray[np.int64]
) -> pd.Series[str]:
    """train | val | test of each row: the given split where there is one, else what `split.strategy` says."""
    if config.strategy == "time":
        return _split_by_time(config, context, images)
    if config.strategy == "site":
        return _split_by_site(config, images)
    drawn = pd.Series(
        _assign_by_position(
            _compute_group_positions(images["group"], components, config.salt), config
        ),
        images.index,
        dtype="str",
    )
    given = images["given_split"].astype("str")
    if given.isna().all():
        return drawn
    if given.isna().any():
        context.add_note(
            f"{int(given.isna().sum())} images have no given split; theirs is drawn by group"
        )
        return given.fillna(given.groupby(components).transform("first")).fillna(drawn)
    missing = [part for part in ("val", "test") if not (given == part).any()]
    if missing:
        context.add_note(
            f"the given split has no {' and no '.join(missing)}; drawn from its train part by group"
        )
    return given.mask((given == "train") & drawn.isin(missing), drawn)


def _find_leak_reasons(
    images: pd.DataFrame, splits: pd.Series[str], components: NDArray[np.int64]
) -> pd.Series[str]:
    """Why a row of val or test may not be used: its bytes, its group or a near-duplicate of a image of its group is in
    train (for val: or in test) too."""
    images = images.assign(tied=components)
    reason = pd.Series(None, images.index, dtype="str").mask(
        splits == "left_out", "its place is not known"
    )
    same = {
        "content_hash": "same image as",
        "group": "same group as",
        "tied": "tied by a duplicate to",
    }
    for column, what in same.items():
        for kept, losing in (("train", ("val", "test")), ("test", ("val",))):
            usable = (splits == kept) & reason.isna()
            first = images[usable].drop_duplicates(column).set_index(column)["path"]
            other = images[column].map(first)
            hit = splits.isin(losing) & other.notna() & reason.isna()
            reason = reason.mask(hit, f"{what} " + other.astype("str") + f" in {kept}")
    return reason


def _require_all_splits(
    images: pd.DataFrame,
    splits: pd.Series[str],
    components: NDArray[np.int64],
    config: Config,
    leaked_count: int,
) -> None:
    """Raise `InputError` that says how to mend it where train, val or test is empty."""
    empty = [name for name in SPLIT_NAMES if not (splits == name).any()]
    if not empty:
        return
    if (
        leaked_count * 4 > len(images)
        and config.strategy == "hash"
        and images["given_split"].isna().all()
    ):
        raise InputError(
            f"split.near_duplicates: no image is left in {' and '.join(empty)}: {leaked_count:,} of {len(images):,} images "
            "are copies of images in another split; lower it (-1: bytes alone count), or set split.join_duplicate_groups=true"
        )
    count = len(np.unique(components))
    if config.strategy != "hash":
        raise InputError(
            f"split.strategy: by {config.strategy} no image is left in {' and '.join(empty)} (images and groups that are in train "
            "too are left out); set other dates or sites, or check ingest.group"
        )
    if images["given_split"].notna().any():
        raise InputError(
            f"ingest.data: the given split leaves no image in {' and '.join(empty)} (images and groups that "
            "are in train too are left out); check ingest.group, or remove the split from the data set"
        )
    salts = (f"{config.salt}-{number}" for number in range(2, 500))
    enough = (
        s
        for s in salts
        if set(
            _assign_by_position(_compute_group_positions(images["group"], components, s), config)
        )
        == set(SPLIT_NAMES)
    )
    salt = next(enough, None) if count >= len(SPLIT_NAMES) else None
    mend = f"set split.salt={salt}, or" if salt else "set another ingest.group, or"
    raise InputError(
        f"split.salt: the images form {count} groups, too few to share out: none fell to {' or '.join(empty)}; "
        f"{mend} add images of more groups"
    )


def _assign_folds(
    labels: pd.Series[str], components: NDArray[np.int64], fold_count: int, seed: int
) -> NDArray[np.int64]:
    """Fold of each row of val, stratified by label where that can be, whole components in one fold."""
    count = min(fold_count, len(np.unique(components)))
    fold = np.zeros(len(labels), np.int64)
    if count < 2:
        return fold
    scarce = int(labels.value_counts().max()) < count
    split = (
        GroupKFold(count)
        if scarce
        else StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # classes with fewer images than folds
        for number, (_, rows) in enumerate(split.split(fold, labels, components)):
            fold[rows] = number
    return fold


def collect_duplicate_pairs(
    config: Config, context: StageContext, images: pd.DataFrame, pixels: NDArray[np.uint8]
) -> pd.DataFrame:
    """Exact and near-duplicate pairs of rows: columns one, other, distance, kind."""
    exact = find_exact_duplicates(images["content_hash"], images["label"].astype("str")).assign(
        kind="exact"
    )
    if config.near_duplicates < 0:
        return exact
    if len(images) > _MAX_COMPARED_IMAGES:
        context.add_note(
            f"{len(images)} images, above {_MAX_COMPARED_IMAGES}: duplicates are sought by bytes only, not by look"
        )
        return exact
    known = _find_components(images, exact)  # a copy of a copy is not listed again
    near = find_near_duplicates(
        pixels,
        known,
        config.near_duplicates,
        lambda blocks, total: context.track_progress(blocks, total=total, unit="blocks"),
    )
    if not near.attrs["whole"]:
        context.add_note(
            "so many images look alike that the search for near-duplicates was ended; some are not tied"
        )
    return pd.concat([exact, near.assign(kind="near")], ignore_index=True)


def _note_split_sizes(
    context: StageContext, images: pd.DataFrame, splits: pd.Series[str], class_names: list[str]
) -> None:
    """How much is in each part, and which classes are absent from it."""
    counts = [
        f"{name} {int((splits == name).sum())} images in {images.loc[splits == name, 'group'].nunique()} groups"
        for name in (*SPLIT_NAMES, "left_out")
        if (splits == name).any()
    ]
    context.add_note("; ".join(counts).replace("left_out", "left out"))
    for name in SPLIT_NAMES:
        absent = sorted(set(class_names) - set(images.loc[splits == name, "label"]))
        shown = ", ".join(absent[:5]) + (f" and {len(absent) - 5} more" if len(absent) > 5 else "")
        if absent:
            context.add_note(
                f"no image of class {shown} is in {name}: {_MISSING_CLASS_EFFECTS[name]}"
            )


def _note_duplicates(
    context: StageContext, duplicates: pd.DataFrame, components: NDArray[np.int64], group_count: int
) -> None:
    if not len(duplicates):
        return
    exact, two = int((duplicates["kind"] == "exact").sum()), int((~duplicates["same_label"]).sum())
    across = int(duplicates["across_splits"].sum())
    where = f"{across} lie across splits" if across else "each pair stays in one split"
    near = len(duplicates) - exact
    context.add_note(
        f"{exact} exact and {near} near-duplicate pairs, {two} of them under two labels; {where}"
    )
    tied = group_count - len(np.unique(components))
    if tied > group_count // 5:
        context.add_note(
            f"duplicates tie {tied} of {group_count} groups to others; if wrongly, lower split.near_duplicates"
        )


def _note_power(context: StageContext, images: pd.DataFrame, splits: pd.Series[str]) -> None:
    """What val and test can show, said before anything is trained."""
    for name in ("val", "test"):
        groups = int(images.loc[splits == name, "group"].nunique())
        inside = groups // 5
        shown = compute_detectable_excess(inside, groups - inside)
        few = (
            f"; a slice needs {DEFAULT_TEST_LIMITS.min_groups} groups to be tested"
            if inside < DEFAULT_TEST_LIMITS.min_groups
            else ""
        )
        context.add_note(
            f"power: {name} has {groups} groups; of a slice with a fifth of them, an excess error or a gain of "
            f"{shown:.0%} is found with 80 % power{few}"
        )


def run(
    config: Config,
    context: StageContext,
    *,
    images: pd.DataFrame,
    attributes: pd.DataFrame,
    pixels: NDArray[np.uint8],
    classes: dict[str, list[str]],
) -> StageOutputs:
    """Make `splits` (train | val | test | left_out, and the fold of each row of val) and `duplicates`.

    Membership follows from salt and group alone, so that it stays when images are added (or from dates or sites that
    the config names). A given split is kept. In any case the images of val and test that train has too, by their bytes,
    their group or a near-duplicate, are left out. Raises `InputError` where train, val or test would be empty.
    """
    images = images.reset_index(drop=True)
    pairs = collect_duplicate_pairs(config, context, images, pixels)
    components = _find_components(images, pairs)
    units = (
        components
        if config.join_duplicate_groups
        else pd.factorize(images["group"])[0].astype(np.int64)
    )
    part = _assign_splits(config, context, images, units)
    duplicates = build_duplicates_table(images, pairs, part)
    reason = _find_leak_reasons(images, part, components)
    leaked = int((reason.notna() & part.isin(("val", "test"))).sum())
    if config.train_where:
        known = attributes.set_index("image_id").loc[images["image_id"]].reset_index(drop=True)
        table = known.join(images.drop(columns=[c for c in images if c in known]))
        kept = pd.Series(evaluate_row_filter(config.train_where, table, "split.train_where"))
        reason = reason.mask((part == "train") & ~kept, f"not {config.train_where}")
        if not ((part == "train") & kept).any():
            raise InputError(
                f"split.train_where: no training image satisfies {config.train_where!r}"
            )
    part = part.mask(reason.notna(), "left_out")
    _require_all_splits(images, part, units, config, leaked)
    fold, val = np.full(len(images), -1), (part == "val").to_numpy()
    fold[val] = _assign_folds(images.loc[val, "label"], components[val], config.folds, context.seed)
    if leaked:
        context.add_note(
            f"{leaked} images of val and test are left out: the same image or group is in another split"
        )
        rest = int(part.isin(["val", "test"]).sum())
        if config.strategy == "hash" and leaked * 4 > rest:
            context.add_note(
                "that is much: name what belongs together in ingest.group, or set split.join_duplicate_groups=true"
            )
    _note_split_sizes(context, images, part, classes["names"])
    _note_duplicates(context, duplicates, components, images["group"].nunique())
    _note_power(context, images, part)
    splits = pd.DataFrame(
        {"image_id": images["image_id"], "split": part, "fold": fold, "reason": reason}
    )
    return {"splits": splits, "duplicates": duplicates}
