"""Train, val and test: pipeline/stages/split.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from pipeline.contracts import InputError, StageContext, StageOutputs
from pipeline.data.quality.group_splits import hash_group
from pipeline.domain.split_exclusions import SplitExclusion
from pipeline.domain.statuses import ExclusionKind
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.stages import split
from pipeline.stages.split import Config


def _make_images(
    groups: list[str], labels: list[str] | None = None, **columns: Any
) -> pd.DataFrame:
    rows = range(len(groups))
    frame = pd.DataFrame(
        {
            "image_id": [f"{row:016x}" for row in rows],
            "content_hash": [f"h{row}" for row in rows],
            "path": [f"p/{row}.jpg" for row in rows],
            "source": "s",
            "group": groups,
            "label": labels or ["ab"[row % 2] for row in rows],
            "captured_at": pd.Series([pd.NaT] * len(groups), dtype="datetime64[us]"),
            "width": 8,
            "height": 8,
            "group_source": pd.Series(["given"] * len(groups), dtype="str"),
            "given_split": pd.Series([None] * len(groups), dtype="str"),
        }
    )
    return frame.assign(**columns)


def _draw_images(count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Return images with nothing in common."""
    coarse = np.random.default_rng(seed).integers(0, 255, (count, 8, 8, 3), dtype=np.uint8)
    return np.stack(
        [cv2.resize(image, (64, 64), interpolation=cv2.INTER_CUBIC) for image in coarse]
    )


def _run_split(
    images: pd.DataFrame,
    config: Config | None = None,
    pixels: np.ndarray[Any, Any] | None = None,
    **attributes: Any,
) -> tuple[StageOutputs, StageContext]:
    context = StageContext("run", 0, Path("."), Path("."))
    table = pd.DataFrame({"image_id": images["image_id"], **attributes})
    pixels = _draw_images(len(images)) if pixels is None else pixels
    classes = {"names": sorted(images["label"].unique())}
    made = split.run(
        config or Config(), context, images=images, attributes=table, pixels=pixels, classes=classes
    )
    for name, value in made.items():
        ARTIFACT_CONTRACTS[name].check_value(name, value, {"images": len(images)})
    return made, context


def _name_groups(count: int, each: int = 3) -> list[str]:
    return [f"g{row // each}" for row in range(count * each)]


def test_shares_groups_and_folds() -> None:
    images = _make_images(_name_groups(300, 2))
    splits = _run_split(images, Config(val=0.3, test=0.1))[0]["splits"].merge(images, on="image_id")
    assert (splits.groupby("group")["split"].nunique() == 1).all()
    shares = splits["split"].value_counts(normalize=True)
    assert abs(shares["val"] - 0.3) < 0.08
    assert abs(shares["test"] - 0.1) < 0.06
    val = splits[splits["split"] == "val"]
    assert sorted(val["fold"].unique()) == [0, 1, 2, 3, 4]
    assert (val.groupby("group")["fold"].nunique() == 1).all()
    assert (splits.loc[splits["split"] != "val", "fold"] == -1).all()
    assert splits["reason"].isna().all()


def test_membership_is_permanent_when_images_are_added() -> None:
    small, large = (
        _make_images(_name_groups(60, 1)),
        _make_images([*_name_groups(60, 1), *(f"new{row}" for row in range(60))]),
    )
    before, after = _run_split(small)[0]["splits"]["split"], _run_split(large)[0]["splits"]["split"]
    assert (after[:60] == before).all()
    assert (_run_split(small.iloc[::-1])[0]["splits"]["split"].to_numpy()[::-1] == before).all()
    other = _run_split(small, Config(salt="other"))[0]["splits"]["split"]
    assert (other != before).any()


def test_groups_with_common_images_stay_together_if_the_config_joins_them() -> None:
    images = _make_images(_name_groups(200, 1))
    images.loc[100:149, "content_hash"] = images.loc[0:49, "content_hash"].to_numpy()
    images.loc[100, "label"] = "b"
    images.loc[0, "label"] = "a"
    made, context = _run_split(images, Config(join_duplicate_groups=True))
    splits = made["splits"]["split"].to_numpy()
    assert (splits[100:150] == splits[:50]).all()
    pairs = made["duplicates"]
    assert len(pairs) == 50
    assert set(pairs["kind"]) == {"exact"}
    assert not pairs["across_splits"].any()
    assert not pairs.set_index("image_id").loc[f"{0:016x}", "same_label"]
    assert any("50 exact and 0 near-duplicate pairs" in note for note in context.notes)


def test_recompressed_and_brightened_copies_are_near_duplicates() -> None:
    pixels = _draw_images(60)
    pixels[41] = cv2.imdecode(cv2.imencode(".jpg", pixels[1], [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1)
    pixels[42] = np.clip(pixels[2] * 1.1, 0, 255)
    pixels[43] = pixels[3][:, ::-1]  # a mirror image is another image
    pixels[50:] = np.random.default_rng(1).integers(
        20, 24, (10, 64, 64, 3)
    )  # too dark to be compared
    made, _ = _run_split(
        _make_images(_name_groups(60, 1)), Config(join_duplicate_groups=True), pixels=pixels
    )
    pairs = made["duplicates"]
    assert list(zip(pairs["image_id"], pairs["other_id"], strict=True)) == [
        (f"{1:016x}", f"{41:016x}"),
        (f"{2:016x}", f"{42:016x}"),
    ]
    assert set(pairs["kind"]) == {"near"}
    part = made["splits"]["split"]
    assert (part[41], part[42]) == (part[1], part[2])
    off, _ = _run_split(
        _make_images(_name_groups(60, 1)), Config(near_duplicates=-1), pixels=pixels
    )
    assert not len(off["duplicates"])


def test_frames_of_one_group_are_no_duplicates_and_two_groups_make_one_pair() -> None:
    pixels = np.repeat(_draw_images(20), 5, axis=0)
    assert not len(_run_split(_make_images(_name_groups(20, 5)), pixels=pixels)[0]["duplicates"])
    pixels[95:] = pixels[:5]
    assert len(_run_split(_make_images(_name_groups(20, 5)), pixels=pixels)[0]["duplicates"]) == 1


def test_a_given_split_is_kept() -> None:
    given = ["train", "train", "val", "test"] * 15
    made, _ = _run_split(_make_images(_name_groups(60, 1), given_split=given))
    assert list(made["splits"]["split"]) == given


def test_a_missing_val_is_drawn_from_train() -> None:
    missing, other = "val", "test"
    given = ["train", "train", "train", other] * 40
    images = _make_images(_name_groups(80, 2), given_split=given)
    images["group"] = [f"{group}{part}" for group, part in zip(images["group"], given, strict=True)]
    made, context = _run_split(images)
    splits = made["splits"].merge(images, on="image_id")
    assert (splits.loc[splits["given_split"] == other, "split"] == other).all()
    assert set(splits.loc[splits["given_split"] == "train", "split"]) == {"train", missing}
    assert (splits.groupby("group")["split"].nunique() == 1).all()
    assert any(f"has no {missing}; drawn from its train part" in note for note in context.notes)


def test_a_missing_test_is_drawn_from_all_parts_with_a_share_of_each_camera() -> None:
    given = ["train", "train", "train", "val"] * 40
    images = _make_images(_name_groups(160, 1), given_split=given)
    rare = (np.arange(160) % 16 == 3) | (np.arange(160) % 16 == 0)
    images["camera"] = np.where(rare, "north", "south")
    made, context = _run_split(images)
    splits = made["splits"].merge(images, on="image_id")
    is_test = splits["split"] == "test"
    assert set(splits.loc[is_test, "given_split"]) == {"train", "val"}
    assert (splits.loc[~is_test, "split"] == splits.loc[~is_test, "given_split"]).all()
    assert is_test[splits["camera"] == "north"].sum() >= 4
    assert any("camera" in note for note in context.notes)


def test_a_partly_given_split_keeps_groups_whole() -> None:
    images = _make_images(_name_groups(100, 2))
    images.loc[0:39:2, "given_split"] = "test"
    splits = _run_split(images)[0]["splits"]
    assert (splits.loc[:39, "split"] == "test").all()
    assert set(splits.loc[40:, "split"]) == {"train", "val", "test"}


def test_leaks_of_a_given_split_are_left_out() -> None:
    images = _make_images(_name_groups(60, 1), given_split=["train", "train", "val", "test"] * 15)
    images.loc[3, "content_hash"] = images.loc[0, "content_hash"]  # test, also in train
    images.loc[6, "group"] = images.loc[1, "group"]  # val, its group in train
    images.loc[10, "content_hash"] = images.loc[7, "content_hash"]  # val, also in test
    pixels = _draw_images(60)
    pixels[11] = pixels[4]  # test, looks like one of train
    made, context = _run_split(images, pixels=pixels)
    splits = made["splits"]
    left = splits[splits["split"] == "left_out"]["reason"].map(SplitExclusion.parse_json)
    assert dict(left) == {
        3: SplitExclusion(ExclusionKind.SAME_IMAGE, "p/0.jpg", "train"),
        6: SplitExclusion(ExclusionKind.SAME_GROUP, "p/1.jpg", "train"),
        10: SplitExclusion(ExclusionKind.SAME_IMAGE, "p/7.jpg", "test"),
        11: SplitExclusion(ExclusionKind.TIED_GROUP, "p/4.jpg", "train"),
    }
    pairs = made["duplicates"].set_index("other_id")
    assert pairs["across_splits"].all()
    assert pairs["kind"].to_dict() == {
        f"{3:016x}": "exact",
        f"{10:016x}": "exact",
        f"{11:016x}": "near",
    }
    assert any("4 images of val and test are left out" in note for note in context.notes)
    assert any("3 lie across splits" in note for note in context.notes)


def test_a_given_split_that_leaves_val_and_test_empty_is_refused() -> None:
    images = _make_images(["one"] * 40, given_split=["train", "train", "val", "test"] * 10)
    with pytest.raises(InputError, match=r"leaves no image in val and test.*ingest.group"):
        _run_split(images)


def test_train_where_filters_training_rows_only() -> None:
    images = _make_images(_name_groups(100, 1), camera=["n", "s"] * 50)
    light = np.arange(100.0)
    everything = _run_split(images)[0]["splits"]["split"]
    made, context = _run_split(
        images, Config(train_where="luminance >= 30 and camera in ['n']"), luminance=light
    )
    splits = made["splits"]
    kept = (light >= 30) & (images["camera"] == "n")
    assert (splits["split"] == everything.mask((everything == "train") & ~kept, "left_out")).all()
    reasons = splits.loc[splits["split"] == "left_out", "reason"].map(SplitExclusion.parse_json)
    condition = "luminance >= 30 and camera in ['n']"
    assert set(reasons) == {SplitExclusion(ExclusionKind.CONDITION_NOT_MET, condition=condition)}
    assert any("left out" in note for note in context.notes)
    assert not any("val and test are left out" in note for note in context.notes)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("luminace >= 3", "no column 'luminace'; did you mean luminance"),
        ("luminance >= 1000", "no training image satisfies"),
        ("luminance > 'x'", r"split\.train_where"),
        ("luminance", "is not true or false"),
    ],
)
def test_an_unusable_condition_names_the_key(expression: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _run_split(
            _make_images(_name_groups(60, 1)),
            Config(train_where=expression),
            luminance=np.arange(60.0),
        )


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_too_few_groups_say_how_to_fix_it(groups: int) -> None:
    images = _make_images(_name_groups(groups, 10))
    config = Config(salt="s14" if groups == 4 else "nightshift")
    with pytest.raises(InputError, match=rf"form {groups} groups") as caught:
        _run_split(images, config)
    if groups == 4:
        salt = str(caught.value).split("set split.salt=")[1].split(",")[0]
        assert set(_run_split(images, Config(salt=salt))[0]["splits"]["split"]) == {
            "train",
            "val",
            "test",
        }


def test_a_tiny_data_set_survives() -> None:
    made, _ = _run_split(_make_images(_name_groups(10, 1)))
    assert set(made["splits"]["split"]) == {"train", "val", "test"}
    assert made["splits"]["fold"].max() <= 4


def test_a_class_missing_from_a_split_is_noted() -> None:
    labels = ["a", "b"] * 40
    labels[5] = "rare"
    part = _run_split(_make_images(_name_groups(80, 1), labels))[0]["splits"]["split"][5]
    _, context = _run_split(_make_images(_name_groups(80, 1), labels))
    absent = {
        note.split(" is in ")[1].split(":")[0]
        for note in context.notes
        if "no image of class rare" in note
    }
    assert absent == {"train", "val", "test"} - {part}


def test_shares_that_leave_no_training_images_are_refused() -> None:
    with pytest.raises(ValidationError, match="leave nothing to train on"):
        Config(val=0.5, test=0.5)


@pytest.mark.data
def test_real_flowers_stay_together(flowers: Path, tmp_path: Path) -> None:
    from pipeline.stages import ingest

    config = ingest.Config(data=flowers, infer_groups=False, side=64)
    made = ingest.run(config, StageContext("run", 0, tmp_path, tmp_path))
    images = made["images"]
    alone, _ = _run_split(images, pixels=made["pixels"])
    left = alone["splits"]["split"] == "left_out"
    assert 0 < left.sum() <= 14
    out, _ = _run_split(images, Config(join_duplicate_groups=True), pixels=made["pixels"])
    pairs = out["duplicates"]
    assert pairs["kind"].value_counts().to_dict() == {"near": 11, "exact": 6}
    assert int((~pairs["same_label"]).sum()) == 4
    part = out["splits"].set_index("image_id")["split"]
    assert (part.loc[pairs["image_id"]].to_numpy() == part.loc[pairs["other_id"]].to_numpy()).all()


def test_a_near_duplicate_across_a_given_split_is_left_out_of_test() -> None:
    given = ["train", "train", "val", "test"] * 15
    pixels = _draw_images(60)
    pixels[3] = np.clip(pixels[0].astype(int) + 3, 0, 255).astype(
        np.uint8
    )  # row 0 is in train, row 3 in test
    splits = _run_split(_make_images(_name_groups(60, 1), given_split=given), pixels=pixels)[0][
        "splits"
    ]
    assert splits["split"].tolist() == [*given[:3], "left_out", *given[4:]]
    tied = SplitExclusion(ExclusionKind.TIED_GROUP, "p/0.jpg", "train")
    assert SplitExclusion.parse_json(splits["reason"][3]) == tied


def test_a_new_image_that_bridges_two_old_ones_moves_neither() -> None:
    before = _run_split(_make_images(_name_groups(60, 1)))[0]["splits"]["split"]
    one, other = before[before == "train"].index[0], before[before == "test"].index[0]
    images, pixels = _make_images(_name_groups(62, 1)), _draw_images(62)
    pixels[60] = pixels[one]
    images.loc[[60, 61], "content_hash"] = images.loc[[one, other], "content_hash"].to_numpy()
    images.loc[61, "group"] = images.loc[60, "group"]  # one new group with a copy of each
    made, context = _run_split(images, pixels=pixels)
    after = made["splits"]
    kept = [row for row in range(60) if row != other]
    assert (after["split"][kept] == before[kept]).all()
    assert after["split"][other] == "left_out"
    assert SplitExclusion.parse_json(after["reason"][other]).split == "train"
    assert any(
        "left out: the same image or group is in another split" in note for note in context.notes
    )


@pytest.mark.parametrize("has_dates", [True, False])
def test_train_val_and_test_follow_each_other_in_time(has_dates: bool) -> None:
    days = pd.date_range("2024-01-01", periods=100, freq="D").as_unit("us")
    images = _make_images(_name_groups(50, 2), captured_at=days)
    images.loc[[10, 11], "captured_at"] = pd.NaT
    dates = {"val_from": "2024-03-01", "test_from": "2024-03-22"} if has_dates else {}
    made, context = _run_split(images, Config.model_validate({"strategy": "time", **dates}))
    splits = made["splits"].assign(at=images["captured_at"])
    reasons = splits["reason"].dropna().map(SplitExclusion.parse_json).tolist()
    assert reasons == [SplitExclusion(ExclusionKind.UNKNOWN_PLACE)] * 2
    ends = splits.groupby("split")["at"].agg(["min", "max"])
    assert ends.loc["train", "max"] < ends.loc["val", "min"]
    assert ends.loc["val", "max"] < ends.loc["test", "min"]
    if has_dates:
        assert ends["min"].to_dict()["val"] == pd.Timestamp("2024-03-01")
        assert ends["min"].to_dict()["test"] == pd.Timestamp(
            "2024-03-21"
        )  # its group ends on the 22nd
    else:
        assert any("set split.val_from=2024-" in note for note in context.notes)
        assert abs((splits["split"] == "test").mean() - 0.2) < 0.05


def test_whole_sites_are_held_out() -> None:
    cities = ["oslo", "rome", "bonn", "lima"] * 40
    images = _make_images([f"{city}{row // 4}" for row, city in enumerate(cities)], city=cities)
    splits = _run_split(images, Config(strategy="site", site_column="city", test_sites=("oslo",)))[
        0
    ]["splits"].assign(city=cities)
    assert (splits["split"].eq("test") == splits["city"].eq("oslo")).all()
    assert set(splits.loc[splits["city"] == "rome", "split"]) == {"train", "val"}
    both = Config(strategy="site", site_column="city", test_sites=("oslo",), val_sites=("rome",))
    splits = _run_split(images, both)[0]["splits"].assign(city=cities)
    assert (splits["split"].eq("val") == splits["city"].eq("rome")).all()
    many = _make_images(_name_groups(160, 1), camera=[f"c{row % 40}" for row in range(160)])
    drawn = _run_split(many, Config(strategy="site", site_column="camera"))[0]["splits"].assign(
        camera=many["camera"]
    )
    assert (drawn.groupby("camera")["split"].nunique() == 1).all()


def test_a_group_in_two_cities_is_left_out_of_test() -> None:
    images = _make_images(_name_groups(40, 2), city=["oslo", "rome"] * 40)
    images.loc[2:, "group"] = [f"own{row}" for row in range(78)]
    images.loc[:1, "group"] = next(
        name for name in map(str, range(99)) if hash_group(name, "nightshift") > 0.5
    )
    splits = _run_split(images, Config(strategy="site", site_column="city", test_sites=("oslo",)))[
        0
    ]["splits"]
    assert splits["split"][0] == "left_out"
    same_group = SplitExclusion(ExclusionKind.SAME_GROUP, "p/1.jpg", "train")
    assert SplitExclusion.parse_json(splits["reason"][0]) == same_group


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy": "time"}, "no image has a capture time"),
        ({"strategy": "site", "site_column": "town"}, "no column 'town'"),
        (
            {"strategy": "site", "site_column": "city", "test_sites": ("olso",)},
            "no image of 'olso'; did you mean oslo",
        ),
        (
            {
                "strategy": "site",
                "site_column": "city",
                "test_sites": ("oslo",),
                "val_sites": ("rome",),
            },
            "by site no image is left in train",
        ),
    ],
)
def test_unusable_times_and_sites_name_the_key(settings: dict[str, Any], message: str) -> None:
    images = _make_images(_name_groups(60, 1), city=["oslo", "rome"] * 30)
    with pytest.raises(InputError, match=message):
        _run_split(images, Config(**settings))


@pytest.mark.parametrize(
    "settings", [{"strategy": "site"}, {"site_column": "a"}, {"val_from": "2024-01-01"}]
)
def test_settings_of_another_strategy_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"split\."):
        Config(**settings)


def test_classes_of_one_image_each_survive() -> None:
    made, context = _run_split(
        _make_images(_name_groups(40, 1), [f"class{row}" for row in range(40)])
    )
    assert set(made["splits"]["split"]) == {"train", "val", "test"}
    assert any("is in train: the model cannot learn it" in note for note in context.notes)


def test_images_that_are_all_alike_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"split\.near_duplicates: no image is left in val and test: \d+ of 60"
    ):
        _run_split(_make_images(_name_groups(60, 1)), pixels=np.repeat(_draw_images(1), 60, axis=0))
