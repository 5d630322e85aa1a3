"""Which images are shown: varied contact sheets, and the order in which images get room on the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import pandas as pd

from pipeline.report.report_page import ReportPage

CORRECT_IMAGES_PER_CLASS = (
    12  # images of each class that were and are right, the least sure of them ...
)
MAX_CORRECT_IMAGES = 600  # ... and of all classes together, about
MAX_IMAGE_PAIRS = 30  # duplicate pairs and label issues shown side by side


def choose_contact_sheet(page: ReportPage, slice_name: str) -> list[str]:
    """At most `page.contact` images of a slice: misread ones first, capped by group and by class pair; of one without a
    cause the most typical, of others the surest errors."""
    table = page.flips.loc[page.slice_members.get(slice_name, [])]
    table = table.assign(wrong=table["true"] != table["was"], rank=table["p_before"])
    if any(row["slice"] == slice_name and row["cause"] is None for row in page.slices):
        members = page["membership"]
        score = (
            members[members["slice"] == slice_name]
            .drop_duplicates("image_id")
            .set_index("image_id")["score"]
        )
        table["rank"] = -score.reindex(table["image_id"]).to_numpy()
    return _choose_varied_rows(
        table.sort_values(["wrong", "rank"], ascending=[False, True], kind="stable"),
        page.contact_sheet_size,
    )


def choose_varied_images(page: ReportPage, image_ids: list[str], max_images: int) -> list[str]:
    """At most `size` of these images of val in their order, capped by group and by class pair."""
    return _choose_varied_rows(page.flips.loc[image_ids], max_images)


def _choose_varied_rows(table: pd.DataFrame, max_images: int) -> list[str]:
    rows = list(
        zip(
            table["image_id"],
            table["group"],
            zip(table["true"], table["was"], strict=True),
            strict=True,
        )
    )
    taken: list[str] = []
    for by_group, by_pair in (
        (1, max(2, max_images // 3)),
        (2, max(2, max_images // 2)),
        (max_images, max_images),
    ):
        groups = Counter(g for i, g, _ in rows if i in taken)
        pairs = Counter(p for i, _, p in rows if i in taken)
        for image_id, group, pair in rows:
            if (
                len(taken) < max_images
                and image_id not in taken
                and groups[group] < by_group
                and pairs[pair] < by_pair
            ):
                taken.append(image_id)
                groups[group] += 1
                pairs[pair] += 1
    rank = {image_id: k for k, (image_id, _, _) in enumerate(rows)}
    return sorted(taken, key=rank.__getitem__)


def select_label_issues(page: ReportPage) -> pd.DataFrame:
    """The label issues to show, conflicts first, then the surest; column `twin`: the other image of a conflict,
    or a image that the model is sure is of the suggested class (or null)."""
    table: pd.DataFrame = (
        page["label_issues"]
        .sort_values(["kind", "confidence"], ascending=[True, False])
        .head(MAX_IMAGE_PAIRS)
    )
    typical = _find_typical_images(page)
    twins = _map_conflicting_twins(page)
    twin = [
        twins.get(i) or typical.get(s)
        for i, s in zip(table["image_id"], table["suggested"], strict=True)
    ]
    return table.assign(twin=pd.Series(twin, index=table.index, dtype="object"))


def _map_conflicting_twins(page: ReportPage) -> dict[str, str]:
    table = page["duplicates"]
    table = table[(table["kind"] == "exact") & ~table["same_label"].astype(bool)]
    pairs = list(zip(table["image_id"], table["other_id"], strict=True))
    return dict([*pairs, *((b, a) for a, b in pairs)])


def _find_typical_images(page: ReportPage) -> dict[str, str]:
    bad = set(page["label_issues"]["image_id"])
    right = page.flips[
        (page.flips["true"] == page.flips["was"]) & ~page.flips["image_id"].isin(bad)
    ]
    best = right.sort_values("p_before", ascending=False).drop_duplicates("label")
    return dict(zip(best["label"], best["image_id"], strict=True))


def select_duplicates(page: ReportPage) -> pd.DataFrame:
    """The duplicate pairs to show: two labels first, then across splits, then exact ones."""
    order = ["same_label", "across_splits", "distance"]
    pairs: pd.DataFrame = page["duplicates"].sort_values(order, ascending=[True, False, True])
    return pairs.head(MAX_IMAGE_PAIRS)


def list_changed_images(page: ReportPage, change: str) -> list[str]:
    """The image ids of one kind of change, the surest errors (lowest probability of the true class) first."""
    table = page.flips[page.flips["change"] == change]
    return list(table.sort_values("p_before" if change == "fixed" else "p_after")["image_id"])


def _iterate_ranked_groups(page: ReportPage) -> Iterator[Iterable[str]]:
    yield from (choose_contact_sheet(page, row["slice"]) for row in page.slices)
    yield [preview.original_id for preview in page.previews]
    table = select_label_issues(page)
    yield from (table["image_id"], table["twin"].dropna())
    pairs = select_duplicates(page)
    yield from (pairs["image_id"], pairs["other_id"])
    yield from (list_changed_images(page, change) for change in ("broken", "fixed", "still wrong"))
    right = page.flips[page.flips["change"] == "still right"].sort_values("p_after")
    yield right.groupby("true").head(
        max(2, min(CORRECT_IMAGES_PER_CLASS, MAX_CORRECT_IMAGES // len(page.class_names)))
    )["image_id"]


def rank_informative_images(page: ReportPage) -> list[str]:
    """Every image that may be shown, most informative first."""
    return list(
        dict.fromkeys(image_id for rank in _iterate_ranked_groups(page) for image_id in rank)
    )
