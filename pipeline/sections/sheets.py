"""Which photos are shown: varied contact sheets, and the order in which photos get room on the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import pandas as pd

from pipeline.sections import Page

SURE = 12  # photos of each class that were and are right, the least sure of them ...
SURE_ALL = 600  # ... and of all classes together, about
PAIRS = 30  # duplicate pairs and label issues shown side by side


def contact_sheet(page: Page, name: str) -> list[str]:
    """At most `page.contact` photos of a slice: misread ones first, capped by group and by class pair; of one without a
    cause the most typical, of others the surest errors."""
    table = page.flips.loc[page.members.get(name, [])]
    table = table.assign(wrong=table["true"] != table["was"], rank=table["p_before"])
    if any(row["slice"] == name and row["cause"] is None for row in page.slices):
        members = page["membership"]
        score = members[members["slice"] == name].drop_duplicates("image_id").set_index("image_id")["score"]
        table["rank"] = -score.reindex(table["image_id"]).to_numpy()
    return _varied(table.sort_values(["wrong", "rank"], ascending=[False, True], kind="stable"), page.contact)


def varied(page: Page, image_ids: list[str], size: int) -> list[str]:
    """At most `size` of these photos of val in their order, capped by group and by class pair."""
    return _varied(page.flips.loc[image_ids], size)


def _varied(table: pd.DataFrame, size: int) -> list[str]:
    rows = list(zip(table["image_id"], table["group"], zip(table["true"], table["was"], strict=True), strict=True))
    taken: list[str] = []
    for by_group, by_pair in ((1, max(2, size // 3)), (2, max(2, size // 2)), (size, size)):
        groups = Counter(g for i, g, _ in rows if i in taken)
        pairs = Counter(p for i, _, p in rows if i in taken)
        for image_id, group, pair in rows:
            if len(taken) < size and image_id not in taken and groups[group] < by_group and pairs[pair] < by_pair:
                taken.append(image_id)
                groups[group] += 1
                pairs[pair] += 1
    rank = {image_id: k for k, (image_id, _, _) in enumerate(rows)}
    return sorted(taken, key=rank.__getitem__)


def issues(page: Page) -> pd.DataFrame:
    """The label issues to show, conflicts first, then the surest; column `twin`: the other photo of a conflict,
    or a photo that the model is sure is of the suggested class (or null)."""
    table: pd.DataFrame = page["label_issues"].sort_values(["kind", "confidence"], ascending=[True, False]).head(PAIRS)
    typical = _typical(page)
    twins = _twins(page)
    twin = [twins.get(i) or typical.get(s) for i, s in zip(table["image_id"], table["suggested"], strict=True)]
    return table.assign(twin=pd.Series(twin, index=table.index, dtype="object"))


def _twins(page: Page) -> dict[str, str]:
    table = page["duplicates"]
    table = table[(table["kind"] == "exact") & ~table["same_label"].astype(bool)]
    pairs = list(zip(table["image_id"], table["other_id"], strict=True))
    return dict([*pairs, *((b, a) for a, b in pairs)])


def _typical(page: Page) -> dict[str, str]:
    bad = set(page["label_issues"]["image_id"])
    right = page.flips[(page.flips["true"] == page.flips["was"]) & ~page.flips["image_id"].isin(bad)]
    best = right.sort_values("p_before", ascending=False).drop_duplicates("label")
    return dict(zip(best["label"], best["image_id"], strict=True))


def duplicates(page: Page) -> pd.DataFrame:
    """The duplicate pairs to show: two labels first, then across splits, then exact ones."""
    order = ["same_label", "across_splits", "distance"]
    pairs: pd.DataFrame = page["duplicates"].sort_values(order, ascending=[True, False, True])
    return pairs.head(PAIRS)


def misread(page: Page, change: str) -> list[str]:
    """The image ids of one kind of change, the surest errors (lowest probability of the true class) first."""
    table = page.flips[page.flips["change"] == change]
    return list(table.sort_values("p_before" if change == "fixed" else "p_after")["image_id"])


def _ranks(page: Page) -> Iterator[Iterable[str]]:
    yield from (contact_sheet(page, row["slice"]) for row in page.slices)
    yield [preview.original for preview in page.previews]
    table = issues(page)
    yield from (table["image_id"], table["twin"].dropna())
    pairs = duplicates(page)
    yield from (pairs["image_id"], pairs["other_id"])
    yield from (misread(page, change) for change in ("broken", "fixed", "still wrong"))
    right = page.flips[page.flips["change"] == "still right"].sort_values("p_after")
    yield right.groupby("true").head(max(2, min(SURE, SURE_ALL // len(page.classes))))["image_id"]


def informative(page: Page) -> list[str]:
    """Every photo that may be shown, most informative first."""
    return list(dict.fromkeys(image_id for rank in _ranks(page) for image_id in rank))
