"""Groups of images where the data set gives none: visits by time, bursts by name, looks.

Frames of one visit resemble each other, so that counting each of them as an observation shows
gains that do not exist. See `decisions/inferred-groups.md` for the measurements.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.domain.group_source import CAMERA_COLUMN, GroupSource
from pipeline.statistics.near_neighbors import find_near_neighbors, whiten_vectors

FrozenFeatures = Callable[[NDArray[np.intp]], NDArray[np.floating]]
"""Function that returns the frozen features of some rows, float [rows, features]."""


@dataclass(frozen=True)
class InferenceSettings:
    """Constants of the inference.

    Attributes:
        gap_seconds: images of one camera that follow within this time are of one visit. Bursts of
            phones and cameras take seconds, a visit at a gate less than a minute.
        visit_seconds: longest visit; a camera that never pauses is cut into visits of this length,
            as `nightshift monitor` cuts traffic.
        max_counter_gap: frames that a burst's file names may skip, on average.
        min_bursts_per_label: bursts that the median label must have for names to count. Names such
            as `class1_001` number the images of a class, not the frames of a burst.
        min_frame_similarity: median similarity of consecutive frames of a named burst. Frames of
            one traffic sign reach .8, two flowers .02.
        min_similarity: similarity of two images that look like one burst. At .55 tracks of traffic
            signs stay in 3 to 4 parts each, and 94 % of 2,159 unrelated flowers stay alone.
        similarity_step: a group that is too large is cut again at a similarity higher by this.
        max_burst_images: images of a group up to which looks alone may join it.
        component_count: whitened components that are compared.
        images_per_component: images needed for each of them.
        min_images: least number of images for a comparison of looks; fewer show too little of the
            differences.
    """

    gap_seconds: float = 60.0
    visit_seconds: float = 600.0
    max_counter_gap: float = 10.0
    min_bursts_per_label: int = 3
    min_frame_similarity: float = 0.3
    min_similarity: float = 0.55
    similarity_step: float = 0.05
    max_burst_images: int = 100
    component_count: int = 128
    images_per_component: int = 4
    min_images: int = 100


DEFAULT_SETTINGS = InferenceSettings()
_MAX_SIMILARITY = 0.85
"""Images as similar as this are one group however many they are."""
_FRAME_NAME = re.compile(r"(?P<burst>.*\d.*?)(?:[_\-. ]+[a-z]*|[a-z]+)(?P<frame>\d{1,6})", re.I)
"""Stem of a frame: a burst's name that holds a digit, a separator, and the frame's number."""
_BURST_NAME = re.compile(r".*BURST(?P<burst>\d{8,}).*", re.I)
"""Stem that phones give to the images of a burst."""


def infer_groups(
    images: pd.DataFrame,
    compute_features: FrozenFeatures,
    settings: InferenceSettings = DEFAULT_SETTINGS,
) -> pd.DataFrame:
    """Return `images` with inferred values of `group` and `group_source`.

    Images with a capture time are grouped by camera and time, files that are named as bursts by
    name, all others by looks. Exact copies stay together. A group is named after the bytes of its
    first image by time and path, so that it keeps its name when later images join it.

    Args:
        images: the artifact `images`; no group is given.
        compute_features: called at most once, with the rows that are compared by look.
        settings: constants.
    """
    visits = _find_visits(images, settings)
    timeless = np.flatnonzero(visits < 0)
    bursts = np.where(visits < 0, _parse_burst_names(images, settings), -1)
    looks = np.full(len(images), -1, np.int64)
    if len(timeless) >= settings.min_images:
        limit = len(timeless) // settings.images_per_component
        vectors = whiten_vectors(compute_features(timeless), min(settings.component_count, limit))
        if not _are_frames_alike(images, bursts, timeless, vectors, settings):
            bursts = np.full(len(images), -1, np.int64)
        is_compared = bursts[timeless] < 0
        if is_compared.any():
            looks[timeless[is_compared]] = _join_looks(vectors[is_compared], settings)
    contents = pd.factorize(images["content_hash"])[0]
    components = _join_codes([visits, bursts, looks, contents])
    return _name_groups(images, components, visits, bursts)


def _find_visits(images: pd.DataFrame, settings: InferenceSettings) -> NDArray[np.int64]:
    """Return the visit of each image by camera and time, -1 without a time of the day."""
    times = images["captured_at"]
    visits = np.full(len(images), -1, np.int64)
    known = np.flatnonzero(times.notna().to_numpy())
    if not len(known) or (times.iloc[known].dt.normalize() == times.iloc[known]).all():
        return visits  # dates alone do not tell visits apart
    cameras = np.zeros(len(known), np.int64)
    if CAMERA_COLUMN in images:
        column = images[CAMERA_COLUMN].iloc[known].astype("str").fillna("")
        cameras = pd.factorize(column)[0].astype(np.int64)
    seconds = times.iloc[known].to_numpy("datetime64[us]").astype(np.int64) / 1e6
    order = np.lexsort((seconds, cameras))
    is_new_camera = np.diff(cameras[order], prepend=-1) != 0
    is_start = is_new_camera | (np.diff(seconds[order], prepend=-np.inf) > settings.gap_seconds)
    starts = np.flatnonzero(is_start)
    runs = np.cumsum(is_start) - 1
    since_start = seconds[order] - seconds[order][starts][runs]
    parts = (since_start // settings.visit_seconds).astype(np.int64)
    visits[known[order]] = pd.factorize(pd.MultiIndex.from_arrays([runs, parts]))[0]
    return visits


def _parse_burst_names(images: pd.DataFrame, settings: InferenceSettings) -> NDArray[np.int64]:
    """Return the burst of each image by its file name, -1 for none; all -1 if names do not tell."""
    folders, frames, names = [], [], []
    for path in images["path"].astype(str):
        folder, _, file = path.rpartition("/")
        stem = file.rpartition(".")[0] or file
        match = _BURST_NAME.fullmatch(stem) or _FRAME_NAME.fullmatch(stem)
        folders.append(folder)
        names.append(match["burst"] if match else "")
        frames.append(int(match.groupdict().get("frame") or 0) if match else 0)
    table = pd.DataFrame({"folder": folders, "name": names, "frame": frames})
    table["code"] = table.groupby(["folder", "name"], sort=False).ngroup()
    by_burst = table.groupby("code")["frame"]
    size = by_burst.transform("size")
    span = by_burst.transform("max") - by_burst.transform("min")
    is_burst = (table["name"] != "") & (size > 1) & (span <= settings.max_counter_gap * size)
    codes = table["code"].where(is_burst, -1).to_numpy(np.int64)
    labeled = pd.DataFrame({"label": images["label"].to_numpy(), "code": codes})
    counts = labeled[labeled["code"] >= 0].groupby("label")["code"].nunique()
    counts = counts.reindex(labeled["label"].dropna().unique(), fill_value=0)
    if not len(counts) or counts.median() < settings.min_bursts_per_label:
        return np.full(len(images), -1, np.int64)
    return codes


def _are_frames_alike(
    images: pd.DataFrame,
    bursts: NDArray[np.int64],
    rows: NDArray[np.intp],
    vectors: NDArray[np.float32],
    settings: InferenceSettings,
) -> bool:
    """Return whether consecutive images of the named bursts look similar.

    Args:
        images: the artifact `images`.
        bursts: burst of each image, [images].
        rows: rows of `images` that have vectors, [n].
        vectors: unit vectors, float32 [n, d].
        settings: constants.
    """
    table = pd.DataFrame({"path": images["path"].iloc[rows].to_numpy(), "burst": bursts[rows]})
    order = table[table["burst"] >= 0].sort_values(["burst", "path"]).index.to_numpy()
    codes = table["burst"].to_numpy()[order]
    is_pair = codes[1:] == codes[:-1]
    first, second = order[:-1][is_pair], order[1:][is_pair]
    if not len(first):
        return False
    similarities = np.einsum("ij,ij->i", vectors[first], vectors[second])
    return bool(np.median(similarities) >= settings.min_frame_similarity)


def _join_looks(vectors: NDArray[np.float32], settings: InferenceSettings) -> NDArray[np.int64]:
    """Return the group of each vector by near neighbors, int64 [n].

    Neighbors of neighbors are joined. A group of more images than a burst has is cut again, at a
    higher similarity.
    """
    pairs, similarities = find_near_neighbors(vectors, settings.min_similarity)
    groups = np.full(len(vectors), -1, np.int64)
    is_open = np.ones(len(vectors), bool)
    limit = settings.min_similarity
    while is_open.any():
        is_edge = (similarities >= limit) & is_open[pairs].all(axis=1)
        components = _connect_rows(len(vectors), pairs[is_edge])
        limit += settings.similarity_step
        is_done = is_open & (np.bincount(components)[components] <= settings.max_burst_images)
        if limit > _MAX_SIMILARITY:
            is_done = is_open.copy()
        groups[is_done] = np.unique(components[is_done], return_inverse=True)[1] + groups.max() + 1
        is_open &= ~is_done
    return groups


def _connect_rows(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    edges = (pairs[:, 0], pairs[:, 1])
    graph = coo_array((np.ones(len(pairs), np.int8), edges), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _join_codes(codings: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return components [n]: rows that share a code of any coding are joined; -1 is no code."""
    count = len(codings[0])
    rows, nodes = [], []
    offset = count
    for codes in codings:
        known = np.flatnonzero(codes >= 0)
        rows.append(known)
        nodes.append(codes[known] + offset)
        offset += int(codes.max(initial=-1)) + 1
    pairs = np.stack([np.concatenate(rows), np.concatenate(nodes)], axis=1)
    return _connect_rows(offset, pairs)[:count]


def _name_groups(
    images: pd.DataFrame,
    components: NDArray[np.int64],
    visits: NDArray[np.int64],
    bursts: NDArray[np.int64],
) -> pd.DataFrame:
    """Return `images` with the name and the source of each component."""
    order = images.assign(component=components).sort_values(["captured_at", "path"])
    first = order.drop_duplicates("component").set_index("component")["content_hash"]
    contents = images.groupby(components)["content_hash"].transform("nunique").to_numpy()
    source = np.select(
        [contents == 1, visits >= 0, bursts >= 0],
        [GroupSource.BYTES.value, GroupSource.TIME.value, GroupSource.NAME.value],
        GroupSource.LOOK.value,
    )
    groups = pd.Series(components).map(first).to_numpy()
    return images.assign(
        group=pd.Series(groups, images.index, dtype="str"),
        group_source=pd.Series(source, images.index, dtype="str"),
    )


def count_inferred_groups(images: pd.DataFrame) -> dict[str, int]:
    """Return how many groups there are without and with the inference.

    Args:
        images: the artifact `images`.

    Returns:
        `before`: groups if each image without a given group stood for itself, with its exact
        copies. `after`: groups. For each `GroupSource` the number of its images. `after` equals
        `before` if nothing was inferred.
    """
    is_given = (images["group_source"] == GroupSource.GIVEN).to_numpy()
    alone = images["group"].where(is_given, images["content_hash"])
    counts = {source.value: int((images["group_source"] == source).sum()) for source in GroupSource}
    return {"before": int(alone.nunique()), "after": int(images["group"].nunique()), **counts}
