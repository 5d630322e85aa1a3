"""Stage `ingest`: read a data set, decode every image once, reject what is broken."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, field_validator

from pipeline.config import StageSettings
from pipeline.contracts import StageContext, StageOutputs
from pipeline.data.quality.group_inference import count_inferred_groups, infer_groups
from pipeline.data.quality.outer_groups import nest_groups
from pipeline.data.quality.value_ranges import find_value_range, scale_records
from pipeline.data.reading.dataset_listing import (
    ColumnNames,
    describe_rejections,
    hash_listing,
    list_records,
    require_learnable_split,
    require_two_classes,
    resolve_data_root,
)
from pipeline.data.reading.image_intake import (
    CopyLookup,
    LoadedImage,
    PixelStore,
    load_image,
    measure_longer_sides,
)
from pipeline.data.reading.image_record import ImageRecord, ReadOptions, RejectedFile
from pipeline.data.reading.ordered_threads import map_in_order
from pipeline.data.tables.group_columns import find_group_warnings
from pipeline.data.tables.image_columns import build_images_table
from pipeline.domain.group_source import INNER_GROUP_COLUMN, GroupSource
from pipeline.learning.inference.frozen_features import compute_layout_features
from pipeline.report.sentences.group_sentences import (
    describe_inferred_groups,
    describe_outer_groups,
)
from pipeline.report.sentences.training_sentences import describe_side_choice
from pipeline.storage.atomic_files import read_json, write_json

SIDE_FILE = "side.json"
"""File in the scratch folder that holds the chosen side until the stage is saved."""
FOLLOWED_SETTINGS = (
    "train.minutes",
    "train.epochs",
    "train.image_passes",
    "train.training_side_share",
    "train.backbone",
    "train.model",
)
"""Settings on which an automatic side depends."""
EXPECTED_TRAINING_SHARE = 0.6
"""Share of the images in train where no split is given, by the default of `split`."""


class Config(StageSettings):
    """Location of the data set, and the meaning of its columns."""

    data: Path | None = Field(
        None, description="the data set: a folder, a zip or tar, a table, or torchvision:NAME"
    )
    adapter: str | None = Field(
        None, description="adapter that reads the data set; empty: the first that can read it"
    )
    side: Annotated[int, Field(ge=16, le=1024)] | Literal["auto"] = Field(
        "auto",
        description="images are letterboxed to side x side pixels; auto: the side of the model "
        "in `train.model`, else the largest side up to 224 that the images have and whose training "
        "fits `train.minutes`",
    )
    file: str | None = Field(
        None, description="column of a manifest that holds the path or address of each image"
    )
    label: str | None = Field(
        None, description="column that holds the label; or one column for each class, with commas"
    )
    multi: Literal["error", "first", "drop", "keep"] = Field(
        "error",
        description="an image with several labels: stop, take the first, leave the image out, or "
        "keep the combination as a class",
    )
    table: str | None = Field(
        None, description="table that lists the images, where the data set has several"
    )
    photos: str | None = Field(
        None, description="folder of the images, relative to the data set or to its table"
    )
    class_level: Literal["top", "leaf"] | Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="which of nested folders is the class: top, leaf, or a number from the top",
    )
    group: str | None = Field(
        None, description="column whose equal values belong together, as of a track or a person"
    )
    group_pattern: str | None = Field(
        None,
        description="regular expression with one pair of brackets; the group is their match in "
        "the path",
    )
    outer_group: str | None = Field(
        None,
        description="column of a second level that holds whole groups, such as the night of a "
        "visit; splits and intervals then count its values",
    )
    infer_groups: bool = Field(
        True,
        description="where no group is given, infer groups from camera and time, from the names of "
        "bursts, and from looks",
    )
    time: str | None = Field(None, description="column that holds the capture time")
    split: str | None = Field(None, description="column that holds train, val or test")
    given_split: Literal["use", "ignore"] = Field(
        "use", description="ignore: the data set's own split is dropped and one is drawn"
    )
    crop_boxes: bool = Field(
        False, description="each annotated box (COCO, VOC) becomes an image of its own"
    )
    range: tuple[int, int] | None = Field(
        None,
        description="gray values of 16-bit images that become black and white, as [0, 4095]; "
        "empty: the range that the data set uses",
    )
    follow_links: bool = Field(
        False, description="follow links that lead out of the folder of the data set"
    )

    @field_validator("group_pattern")
    @classmethod
    def _check_group_pattern(cls, pattern: str | None) -> str | None:
        try:
            if pattern is not None and re.compile(pattern).groups != 1:
                raise ValueError("ingest.group_pattern: needs exactly one pair of brackets")
        except re.error as error:
            raise ValueError(f"ingest.group_pattern is no regular expression: {error}") from error
        return pattern

    @field_validator("range")
    @classmethod
    def _check_range(cls, value_range: tuple[int, int] | None) -> tuple[int, int] | None:
        if value_range is not None and value_range[0] >= value_range[1]:
            raise ValueError("ingest.range: the first value must be below the second")
        return value_range

    @property
    def options(self) -> ReadOptions:
        """Return the options of the adapter."""
        return ReadOptions(
            file_column=self.file,
            label_column=self.label,
            should_crop_boxes=self.crop_boxes,
            should_follow_links=self.follow_links,
            table=self.table,
            image_folder=self.photos,
            class_level=self.class_level,
            several_labels=self.multi,
        )

    @property
    def columns(self) -> ColumnNames:
        """Return the columns that give group, capture time and split."""
        return ColumnNames(
            self.group, self.group_pattern, self.time, self.split, self.given_split == "ignore"
        )


def run(config: Config, context: StageContext) -> StageOutputs:
    """Return `images` (rows by path), `rejected`, `pixels` and `classes`.

    `pixels`, uint8 [images, side, side, 3] in RGB, is a memory map in the scratch folder, so that
    the memory stays bounded. Copies that a killed run made are used again.

    Raises:
        InputError: there is no data set, no usable image, only one class, or groups that do not
            lie within those of `outer_group`.
    """
    root = resolve_data_root(config.data)
    records, rejected = list_records(root, config.adapter, config.options, config.columns)
    value_range = config.range or find_value_range(records)
    records = scale_records(records, value_range)
    if value_range:
        low, high = value_range
        context.add_note(
            f"gray values of 16-bit images from {low} to {high} become black to white "
            "(ingest.range)"
        )
    side = config.side if config.side != "auto" else _choose_side(context, records)
    loaded_images, pixels = _copy_images(side, context, records, rejected)
    class_names = sorted({str(image.record.label) for image in loaded_images})
    for line in describe_rejections(rejected, records, set(class_names)):
        context.add_note(line)
    require_two_classes(root, class_names, rejected, len(loaded_images))
    usable = [image.record for image in loaded_images]
    require_learnable_split(usable)
    for line in find_group_warnings(usable, config.columns):
        context.add_note(line)
    images = build_images_table(loaded_images, config.columns, context.add_note)
    if config.infer_groups and (images["group_source"] == GroupSource.BYTES).all():
        images = _infer_groups(context, images, pixels)
    if config.outer_group is not None:
        images = nest_groups(images, config.outer_group)
        context.add_note(
            describe_outer_groups(images[INNER_GROUP_COLUMN].nunique(), images["group"].nunique())
        )
    rows = [(item.path, item.reason) for item in rejected]
    table = pd.DataFrame(rows, columns=["path", "reason"], dtype="str")
    return {
        "images": images,
        "rejected": table.sort_values(["path", "reason"], ignore_index=True),
        "pixels": pixels,
        "classes": {"names": class_names},
    }


def list_followed_settings(config: Config) -> tuple[str, ...]:
    """Return the keys of the settings of other stages that an automatic side depends on."""
    return FOLLOWED_SETTINGS if config.side == "auto" else ()


def _count_training_records(records: Sequence[ImageRecord]) -> int:
    """Return the number of training images, expected where no split is given; at least one."""
    given = sum(record.split == "train" for record in records)
    return given or max(1, round(EXPECTED_TRAINING_SHARE * len(records)))


def _choose_side(context: StageContext, records: Sequence[ImageRecord]) -> int:
    """Return the side of an earlier run with these settings, else one that the training can afford.

    A run that was killed keeps the side of its first choice.
    """
    if context.previous_outputs is not None:
        return int(context.previous_outputs["pixels"].shape[1])
    side_file = context.scratch_folder / SIDE_FILE
    if side_file.is_file():
        return int(read_json(side_file)["side"])
    from pipeline.learning.models.side_choice import TrainingPlan, choose_side, find_model_side

    training_count = _count_training_records(records)
    plan = TrainingPlan.create_from_settings(context.followed_settings, training_count)
    side = find_model_side(plan, context.runs_folder / context.run_id)
    if side is None:
        choice = choose_side(measure_longer_sides(records) or [0], plan)
        context.add_note(describe_side_choice(choice))
        side = choice.side
    write_json(side_file, {"side": side})
    return side


def _infer_groups(
    context: StageContext, images: pd.DataFrame, pixels: NDArray[np.uint8]
) -> pd.DataFrame:
    """Return `images` with inferred groups; a note gives their number before and after."""

    def compute_layout(rows: NDArray[np.intp]) -> NDArray[np.float16]:
        return compute_layout_features(pixels, rows, context.track_progress)

    images = infer_groups(images, compute_layout)
    for line in describe_inferred_groups(count_inferred_groups(images)):
        context.add_note(line)
    return images


def fingerprint_external_inputs(
    config: Config, run_path: Path, earlier_fingerprint: str | None
) -> str:
    """Return a hash of the data set's files, a part of the stage's key.

    Args:
        config: settings of the stage.
        run_path: unused; no data are kept in the run's folder.
        earlier_fingerprint: unused; new files change the result.

    Raises:
        InputError: there is no data set.
    """
    return hash_listing(resolve_data_root(config.data), config.adapter, config.options)


def _copy_images(
    side: int, context: StageContext, records: Sequence[ImageRecord], rejected: list[RejectedFile]
) -> tuple[list[LoadedImage], NDArray[np.uint8]]:
    """Return the usable images and their pixels; the others are appended to `rejected`."""
    loaded_images: list[LoadedImage] = []
    with PixelStore(context.scratch_folder, side) as store:
        find_copy = _build_copy_lookup(context.previous_outputs, store)
        prepared = map_in_order(records, lambda record: load_image(record, side, find_copy))
        for item in context.track_progress(prepared, total=len(records), unit="images"):
            if isinstance(item, RejectedFile):
                rejected.append(item)
            else:
                loaded_images.append(item[0])
                store.add_copy(item[0].image_id, item[1])
    return loaded_images, store.map_pixels()


def _build_copy_lookup(previous_outputs: Mapping[str, Any] | None, store: PixelStore) -> CopyLookup:
    """Return a function that finds, by image_id, the copy of an earlier or killed run."""
    places = store.find_earlier_copies()
    if previous_outputs is not None and previous_outputs["pixels"].shape[1] == store.side:
        pixels = previous_outputs["pixels"]
        for row, image_id in enumerate(previous_outputs["images"]["image_id"]):
            places[image_id] = (pixels, row)

    def find_copy(image_id: str) -> NDArray[np.uint8] | None:
        array, row = places.get(image_id, (None, 0))
        return None if array is None else np.asarray(array[row])

    return find_copy
