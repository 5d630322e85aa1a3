"""Choice of the images on the page: varied contact sheets, and their order on the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import pandas as pd

from pipeline.report.report_page import ReportPage

# Images that were and are correct fill the cells of the confusion matrices. Those with the lowest
# probability of their label are the most telling; the total keeps the page small with many classes.
CORRECT_IMAGES_PER_CLASS = 12
MAX_CORRECT_IMAGES = 600
MIN_CORRECT_IMAGES_PER_CLASS = 2
MAX_IMAGE_PAIRS = 30  # duplicate pairs, or label issues, shown side by side
MAX_NEIGHBORS = 3  # images of its group beside a label in doubt


def choose_contact_sheet(page: ReportPage, slice_name: str) -> list[str]:
    """Return the image ids of a slice's contact sheet, misclassified ones first.

    Images are capped by group and by pair of classes. With a cause, the errors with the lowest
    probability of the label come first; without one, the most typical images.
    """
    table = page.flips.loc[page.slice_members.get(slice_name, [])]
    order = table["p_before"]
    for row in page.slices:
        if row["slice"] == slice_name and row["cause"] is None:
            order = -_get_membership_scores(page, slice_name).reindex(table["image_id"])
    is_misclassified = table["label_index"] != table["before_index"]
    table = table.assign(is_misclassified=is_misclassified, order=order.to_numpy())
    table = table.sort_values(["is_misclassified", "order"], ascending=[False, True], kind="stable")
    return _choose_varied_rows(table, page.contact_sheet_size)


def _get_membership_scores(page: ReportPage, slice_name: str) -> pd.Series[float]:
    members = page["membership"]
    members = members[members["slice"] == slice_name].drop_duplicates("image_id")
    scores: pd.Series[float] = members.set_index("image_id")["score"]
    return scores


def choose_varied_images(page: ReportPage, image_ids: list[str], max_images: int) -> list[str]:
    """Return at most `max_images` of these validation images, capped by group and class pair.

    Args:
        page: the page.
        image_ids: ids in the order of preference.
        max_images: number of images at most.
    """
    return _choose_varied_rows(page.flips.loc[image_ids], max_images)


def _choose_varied_rows(table: pd.DataFrame, max_images: int) -> list[str]:
    """Return ids of at most `max_images` rows, in their order.

    The caps on images of one group and of one (label, prediction) start strict and are lifted until
    the sheet is full.
    """
    columns = table[["image_id", "group", "label_index", "before_index"]]
    rows = list(columns.itertuples(index=False, name=None))
    caps = ((1, max(2, max_images // 3)), (2, max(2, max_images // 2)), (max_images, max_images))
    chosen: set[str] = set()
    group_counts: Counter[str] = Counter()
    pair_counts: Counter[tuple[int, int]] = Counter()
    for group_cap, pair_cap in caps:
        for image_id, group, label, predicted in rows:
            pair = (label, predicted)
            is_capped = group_counts[group] >= group_cap or pair_counts[pair] >= pair_cap
            if len(chosen) >= max_images or image_id in chosen or is_capped:
                continue
            chosen.add(image_id)
            group_counts[group] += 1
            pair_counts[pair] += 1
    return list(filter(chosen.__contains__, table["image_id"]))


def select_label_issues(page: ReportPage) -> pd.DataFrame:
    """Return the label issues to show, conflicts first, then the most confident ones.

    The column `twin` is the id of the other image of a conflict, or else of a typical image of the
    suggested class; null without either.
    """
    order = page["label_issues"].sort_values(["kind", "confidence"], ascending=[True, False])
    table: pd.DataFrame = order.head(MAX_IMAGE_PAIRS)
    typical_images = _find_typical_images(page)
    conflicting_images = _map_conflicting_images(page)
    twins = []
    for image_id, suggested in zip(table["image_id"], table["suggested"], strict=True):
        twins.append(conflicting_images.get(image_id) or typical_images.get(suggested))
    return table.assign(twin=pd.Series(twins, index=table.index, dtype="object"))


def list_neighbors(page: ReportPage, image_ids: Iterable[str]) -> list[str]:
    """Return a few images of the groups of these images, none of them from the sealed test set.

    A label is easier to judge beside other images of the same person or track.
    """
    images = page.images[page.images["split"] != "test"]
    groups = page.images.loc[list(image_ids), "group"]
    others = images[images["group"].isin(groups) & ~images.index.isin(groups.index)]
    return list(others.groupby("group").head(MAX_NEIGHBORS).index)


def _map_conflicting_images(page: ReportPage) -> dict[str, str]:
    """Return the image with the same bytes and another label, by image id."""
    pairs = page["duplicates"]
    pairs = pairs[(pairs["kind"] == "exact") & ~pairs["same_label"].astype(bool)]
    forward = zip(pairs["image_id"], pairs["other_id"], strict=True)
    backward = zip(pairs["other_id"], pairs["image_id"], strict=True)
    return {**dict(forward), **dict(backward)}


def _find_typical_images(page: ReportPage) -> dict[str, str]:
    """Return the correct image with the highest probability of its label, by label."""
    has_issue = page.flips["image_id"].isin(page["label_issues"]["image_id"])
    correct = page.flips[~page.is_misclassified & ~has_issue]
    best = correct.sort_values("p_before", ascending=False).drop_duplicates("label")
    return dict(zip(best["label"], best["image_id"], strict=True))


def select_duplicates(page: ReportPage) -> pd.DataFrame:
    """Return the duplicate pairs to show: two labels first, then across splits, then exact ones."""
    order = ["same_label", "across_splits", "distance"]
    pairs: pd.DataFrame = page["duplicates"].sort_values(order, ascending=[True, False, True])
    return pairs.head(MAX_IMAGE_PAIRS)


def list_changed_images(page: ReportPage, change: str) -> list[str]:
    """Return the image ids of one kind of change, lowest probability of the label first."""
    table = page.flips[page.flips["change"] == change]
    return list(table.sort_values("p_before" if change == "fixed" else "p_after")["image_id"])


def _select_correct_images(page: ReportPage) -> pd.Series[str]:
    """Return ids of images that stay correct, a few of each class."""
    correct = page.flips[page.flips["change"] == "still right"].sort_values("p_after")
    by_class = min(CORRECT_IMAGES_PER_CLASS, MAX_CORRECT_IMAGES // len(page.class_names))
    by_class = max(MIN_CORRECT_IMAGES_PER_CLASS, by_class)
    ids: pd.Series[str] = correct.groupby("label_index").head(by_class)["image_id"]
    return ids


def _iterate_ranked_groups(page: ReportPage) -> Iterator[Iterable[str]]:
    for row in page.slices:
        yield choose_contact_sheet(page, row["slice"])
    for preview in page.previews:
        yield [preview.original_id]
    issues = select_label_issues(page)
    yield issues["image_id"]
    yield issues["twin"].dropna()
    yield list_neighbors(page, issues["image_id"])
    pairs = select_duplicates(page)
    yield pairs["image_id"]
    yield pairs["other_id"]
    for change in ("broken", "fixed", "still wrong"):
        yield list_changed_images(page, change)
    yield _select_correct_images(page)


def rank_informative_images(page: ReportPage) -> list[str]:
    """Return the ids of every image that may be shown, the most informative first."""
    ranked: dict[str, None] = {}
    for image_ids in _iterate_ranked_groups(page):
        ranked.update(dict.fromkeys(image_ids))
    return list(ranked)
