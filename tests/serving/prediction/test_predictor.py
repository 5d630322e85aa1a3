import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.special import softmax

import pipeline
from pipeline.attributes import DecodedImage
from pipeline.attributes.luminance import measure
from pipeline.contracts import InputError
from pipeline.data.reading.image_decoding import letterbox_image
from pipeline.data.reading.image_record import ImageRecord, RejectedFile
from pipeline.data.reading.image_sources import open_image
from pipeline.domain.rules import Condition, Rule
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import load_model
from pipeline.remedies import apply_remedy
from pipeline.serving.prediction.predictor import BATCH_SIZE, load_predictor
from pipeline.stages.measure import shrink_image


def _pixels(folder: Path) -> np.ndarray:
    return np.stack([cv2.imread(str(p))[:, :, ::-1] for p in sorted(folder.glob("[0-9]*.png"))])


def test_the_model_sees_dark_images_corrected_and_the_others_as_they_are(
    bundle: Path, shots: Path
) -> None:
    pixels = _pixels(shots)
    dark = pixels.mean((1, 2, 3)) < 45
    assert 0 < dark.sum() < len(dark)
    shown = pixels.copy()
    shown[dark] = apply_remedy("exposure", pixels[dark], 4.0, 4.0, seed=0)
    model, meta = load_model(bundle)
    want = softmax(compute_logits(model, shown, meta) / 1e-4, axis=1)
    rows = load_predictor("champion", bundle.parents[2]).predict(sorted(shots.glob("[0-9]*.png")))
    np.testing.assert_allclose(rows["probability"], want.max(1), atol=2e-3)
    assert (rows["predicted"] == np.array(meta["classes"])[want.argmax(1)]).all()
    assert (rows["correction"] == np.where(dark, "exposure x4", "")).all()
    assert (rows["slices"] == np.where(dark, "s1: luminance <= 45", "")).all()
    np.testing.assert_allclose(rows["probability_1"] + rows["probability_2"], 1.0, atol=1e-6)


def test_it_answers_where_it_is_sure_and_says_why_not_elsewhere(bundle: Path, shots: Path) -> None:
    rows = pipeline.load_predictor(str(bundle)).predict(sorted(shots.glob("[0-9]*.png")))
    sure = rows["probability"] >= 0.8
    assert sure.any()
    assert not sure.all()
    assert (rows["decision"] == np.where(sure, "answer", "decline")).all()
    assert rows.loc[~sure, "reason"].str.match(r"confidence 0\.\d+ is below 0\.800").all()


def test_below_a_light_it_declines_however_sure_it_is(
    bundle: Path, shots: Path, tmp_path: Path
) -> None:
    meta = json.loads((bundle / "bundle.json").read_text())
    meta["policy"] = {"decline": {"threshold": 0.0, "light": 45.0}, "corrections": []}
    for file in ("model.safetensors", "model.json"):
        (tmp_path / file).write_bytes((bundle / file).read_bytes())
    (tmp_path / "bundle.json").write_text(json.dumps({**meta, "slices": []}))
    files = sorted(shots.glob("[0-9]*.png"))
    dark = load_predictor(str(tmp_path), attributes=("luminance",)).predict(files)["luminance"] < 45
    rows = load_predictor(str(tmp_path)).predict(files)
    assert dark.any()
    assert not dark.all()
    assert (rows["decision"] == np.where(dark, "decline", "answer")).all()
    assert rows.loc[dark, "reason"].str.match(r"light \d+\.\d is below 45\.0").all()
    assert list(rows.columns) == list(load_predictor(str(bundle)).columns), (
        "light is asked about, not shown"
    )


def test_no_threshold_declines_everybody(bundle: Path, shots: Path, tmp_path: Path) -> None:
    meta = json.loads((bundle / "bundle.json").read_text())
    meta["policy"] = {"decline": {"threshold": None}, "corrections": []}
    for file in ("model.safetensors", "model.json"):
        (tmp_path / file).write_bytes((bundle / file).read_bytes())
    (tmp_path / "bundle.json").write_text(json.dumps({**meta, "slices": []}))
    rows = load_predictor(str(tmp_path)).predict([shots / "01.png"])
    assert rows["decision"].tolist() == ["decline"]
    assert "no confidence" in rows["reason"].iloc[0]


def test_a_broken_image_is_a_row_with_its_error_in_its_place(bundle: Path, shots: Path) -> None:
    rows = load_predictor(str(bundle)).predict(
        [shots / "00.png", shots / "broken.png", shots / "gone.png", shots / "01.png"]
    )
    assert rows["decision"].tolist()[1:3] == ["error", "error"]
    assert rows["error"].iloc[1] == "not an image, or damaged"
    assert rows["error"].isna().tolist() == [True, False, False, True]
    assert set(rows["decision"].iloc[[0, 3]]) <= {"answer", "decline"}


def test_pixels_give_what_the_file_gives_and_attributes_are_shown(
    bundle: Path, shots: Path
) -> None:
    predictor = load_predictor(str(bundle), attributes=("luminance", "hour"))
    files = predictor.predict(sorted(shots.glob("[0-9]*.png")))
    arrays = predictor.predict(list(_pixels(shots)))
    np.testing.assert_allclose(files["probability"], arrays["probability"], atol=1e-6)
    np.testing.assert_allclose(files["luminance"], arrays["luminance"])
    assert arrays["hour"].isna().all()
    assert arrays["path"].tolist() == [str(k) for k in range(12)]
    with pytest.raises(TypeError, match=r"image 0: want uint8 \[H, W, 3\], got float64"):
        predictor.predict([np.zeros((4, 4, 3))])


def test_one_path_is_no_list_and_a_name_may_be_no_text(
    bundle: Path, shots: Path, tmp_path: Path
) -> None:
    predictor, odd = load_predictor(str(bundle)), tmp_path / os.fsdecode(b"b\xff.png")
    for single in (shots / "00.png", str(shots / "00.png"), b"x"):
        with pytest.raises(TypeError, match="want a list of images"):
            predictor.predict(single)  # type: ignore[arg-type]
    shutil.copy(shots / "00.png", odd)
    row = predictor.predict([odd]).iloc[0]
    assert row["path"] == rf"{tmp_path}/b\xff.png"
    assert row["decision"] in ("answer", "decline")


def test_bytes_give_what_the_file_gives(bundle: Path, shots: Path) -> None:
    predictor, files = (
        load_predictor(str(bundle)),
        [shots / "00.png", shots / "broken.png", shots / "01.png"],
    )
    rows, other = predictor.predict(files), predictor.predict([path.read_bytes() for path in files])
    assert other["path"].tolist() == ["0", "1", "2"]
    assert rows.drop(columns="path").equals(other.drop(columns="path"))


def test_a_large_image_is_measured_large_and_shown_small(bundle: Path, tmp_path: Path) -> None:
    """As `measure` and `ingest` do: the small copy of a JPEG comes from a reduced decode, the measures do not."""
    rng = np.random.default_rng(8)
    coarse = rng.integers(90, 255, (9, 16, 3), dtype=np.uint8)
    path = tmp_path / "large.jpg"
    cv2.imwrite(str(path), cv2.resize(coarse, (1600, 900), interpolation=cv2.INTER_CUBIC))
    model, meta = load_model(bundle)
    want = softmax(
        compute_logits(model, letterbox_image(open_image(path, 48), 48)[None], meta) / 1e-4, axis=1
    )
    shutil.copytree(bundle, tmp_path / "plain")
    whole = json.loads((bundle / "bundle.json").read_text())
    plain = {**whole, "slices": [], "policy": {**whole["policy"], "corrections": []}}
    (tmp_path / "plain" / "bundle.json").write_text(json.dumps(plain))
    for folder in (
        bundle,
        tmp_path / "plain",
    ):  # with rules that measure, and with nothing to measure
        row = load_predictor(str(folder)).predict([path]).iloc[0]
        assert row["probability"] == pytest.approx(float(want.max()), abs=2e-3)
    row = load_predictor(str(bundle), attributes=["luminance"]).predict([path]).iloc[0]
    assert row["luminance"] == measure(
        DecodedImage(shrink_image(open_image(path), 1024), None, 1600, 900)
    )


@pytest.mark.parametrize(
    ("beside", "inside"), [(0.0, True), (-0.001, False), (30.0, True), (-30.0, False)]
)
def test_a_rule_on_light_is_asked_of_the_whole_image_where_it_is_close(
    bundle: Path, tmp_path: Path, beside: float, inside: bool
) -> None:
    """The model's copy is a reduced decode, whose lamps are dimmer than those of the image."""
    rng, path = np.random.default_rng(0), tmp_path / "lamps.jpg"
    cv2.imwrite(
        str(path), np.where(rng.random((300, 400, 1)) < 0.05, 255, 60).astype(np.uint8).repeat(3, 2)
    )
    whole, small = (
        measure(DecodedImage(open_image(path, side), None, 400, 300)) for side in (None, 48)
    )
    assert 0.01 < abs(whole - small) < 6
    shutil.copytree(bundle, tmp_path / "other")
    meta = json.loads((bundle / "bundle.json").read_text())
    rule = Rule((Condition("luminance", "<=", whole + beside),)).dump_json()
    meta["slices"][0]["rule"] = rule
    (tmp_path / "other" / "bundle.json").write_text(json.dumps(meta))
    row = load_predictor(str(tmp_path / "other")).predict([path]).iloc[0]
    assert bool(row["slices"]) == inside
    assert row["correction"] == ("exposure x4" if inside else "")


def test_rules_may_ask_for_columns_that_come_with_the_image(bundle: Path, shots: Path) -> None:
    images = [
        ImageRecord(str(shots / "01.png"), "a", None, columns={"door": "east"}),
        ImageRecord(str(shots / "01.png"), "b", None, columns={"door": "west"}),
        RejectedFile("c", "a video"),
        ImageRecord(str(shots / "01.png"), "d", None),
    ]
    rows = list(load_predictor(str(bundle)).stream_rows(images))
    assert [row["slices"] for row in rows] == ["s2: door is east", "", None, ""]
    assert [row["path"] for row in rows] == ["a", "b", "c", "d"]
    assert rows[2]["reason"] == "a video"


def test_zero_one_and_more_than_a_batch(bundle: Path, shots: Path) -> None:
    predictor = load_predictor(str(bundle))
    assert predictor.predict([]).empty
    assert list(predictor.predict([]).columns) == list(predictor.columns)
    many = predictor.predict([shots / "01.png", shots / "02.png"] * (BATCH_SIZE // 2 + 1))
    assert len(many) == BATCH_SIZE + 2
    assert many["probability"].iloc[0] == pytest.approx(many["probability"].iloc[-2], abs=1e-6)


def test_what_is_not_there_is_said_in_one_line(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run has promoted a champion yet"):
        load_predictor("champion", tmp_path)
    with pytest.raises(InputError, match="nowhere: neither champion, nor a run in"):
        load_predictor("nowhere", tmp_path)
    with pytest.raises(InputError, match="there is no attribute 'brightness'"):
        load_predictor(str(bundle), attributes=("brightness",))
    assert load_predictor("run1", bundle.parents[2]).meta["classes"] == ["lying", "standing"]
