import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import nightshift
import numpy as np
import pytest
from scipy.special import softmax

from pipeline.attributes import DecodedImage
from pipeline.attributes.luminance import measure
from pipeline.contracts import InputError
from pipeline.data.reading.file_attributes import shrink_image
from pipeline.data.reading.image_decoding import letterbox_image
from pipeline.data.reading.image_record import ImageRecord, RejectedFile
from pipeline.data.reading.image_sources import open_image
from pipeline.domain.rules import Condition, Rule
from pipeline.domain.statuses import Decision, DecisionReason
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import load_model
from pipeline.remedies import apply_remedy
from pipeline.serving.prediction.predictor import BATCH_SIZE, load_predictor
from tests.serving.prediction.conftest import write_bundle


def _list_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.png"))


def _read_pixels(folder: Path) -> np.ndarray:
    return np.stack([cv2.imread(str(path))[:, :, ::-1] for path in _list_files(folder)])


def _build_policy(**decline: Any) -> dict[str, Any]:
    return {"decline": decline, "corrections": []}


def test_model_sees_dark_images_corrected(bundle: Path, image_folder: Path) -> None:
    pixels = _read_pixels(image_folder)
    is_dark = pixels.mean((1, 2, 3)) < 45
    assert 0 < is_dark.sum() < len(is_dark)
    corrected = pixels.copy()
    corrected[is_dark] = apply_remedy("exposure", pixels[is_dark], 4.0, 4.0, seed=0)
    model, meta = load_model(bundle)
    expected = softmax(compute_logits(model, corrected, meta) / 1e-4, axis=1)
    rows = load_predictor("champion", bundle.parents[2]).predict(_list_files(image_folder))
    np.testing.assert_allclose(rows["probability"], expected.max(1), atol=2e-3)
    assert (rows["predicted"] == np.array(meta["classes"])[expected.argmax(1)]).all()
    assert (rows["correction"] == np.where(is_dark, "exposure x4", "")).all()
    assert (rows["slices"] == np.where(is_dark, "s1", "")).all()
    assert set(rows["model"]) == {"run1"}
    np.testing.assert_allclose(rows["probability_1"] + rows["probability_2"], 1.0, atol=1e-6)


def test_low_confidence_is_declined(bundle: Path, image_folder: Path) -> None:
    rows = nightshift.load(str(bundle)).predict(_list_files(image_folder))
    is_confident = rows["probability"] >= 0.8
    assert is_confident.any()
    assert not is_confident.all()
    assert (rows["decision"] == np.where(is_confident, "answer", "decline")).all()
    assert set(rows.loc[is_confident, "reason"]) == {DecisionReason.NONE}
    assert set(rows.loc[~is_confident, "reason"]) == {DecisionReason.LOW_CONFIDENCE}


def test_low_light_is_declined_at_any_confidence(
    bundle: Path, image_folder: Path, tmp_path: Path
) -> None:
    policy = _build_policy(threshold=0.0, light=45.0)
    folder = write_bundle(bundle, tmp_path / "b", policy=policy, slices=[])
    files = _list_files(image_folder)
    luminance = load_predictor(str(folder), attributes=("luminance",)).predict(files)["luminance"]
    is_dark = luminance < 45
    rows = load_predictor(str(folder)).predict(files)
    assert is_dark.any()
    assert not is_dark.all()
    assert (rows["decision"] == np.where(is_dark, "decline", "answer")).all()
    assert (rows["reason"] == np.where(is_dark, "low light", "")).all()
    assert "luminance" not in rows.columns


def test_without_a_threshold_every_image_is_declined(
    bundle: Path, image_folder: Path, tmp_path: Path
) -> None:
    policy = _build_policy(threshold=None)
    folder = write_bundle(bundle, tmp_path / "b", policy=policy, slices=[])
    rows = load_predictor(str(folder)).predict(_list_files(image_folder)[:2])
    assert set(rows["decision"]) == {Decision.DECLINE}
    assert set(rows["reason"]) == {DecisionReason.NO_THRESHOLD}


def test_unreadable_image_is_a_row_in_its_place(bundle: Path, image_folder: Path) -> None:
    names = ["00.png", "broken.png", "gone.png", "01.png"]
    rows = load_predictor(str(bundle)).predict([image_folder / name for name in names])
    assert rows["path"].tolist() == [str(image_folder / name) for name in names]
    assert rows["decision"].tolist()[1:3] == [Decision.ERROR] * 2
    assert rows["reason"].tolist()[1:3] == [DecisionReason.UNREADABLE] * 2
    assert rows["error"].iloc[1] == "not an image, or damaged"
    assert rows["error"].isna().tolist() == [True, False, False, True]
    assert set(rows["decision"].iloc[[0, 3]]) <= {Decision.ANSWER, Decision.DECLINE}
    assert set(rows["model"]) == {"run1"}


def test_pixels_and_bytes_give_the_rows_of_their_files(bundle: Path, image_folder: Path) -> None:
    predictor = load_predictor(str(bundle), attributes=("luminance", "hour"))
    files = predictor.predict(_list_files(image_folder))
    arrays = predictor.predict(list(_read_pixels(image_folder)))
    np.testing.assert_allclose(files["probability"], arrays["probability"], atol=1e-6)
    np.testing.assert_allclose(files["luminance"], arrays["luminance"])
    assert arrays["hour"].isna().all()
    assert arrays["path"].tolist() == [str(k) for k in range(12)]
    paths = [image_folder / "00.png", image_folder / "broken.png", image_folder / "01.png"]
    files = predictor.predict(paths)
    encoded = predictor.predict([path.read_bytes() for path in paths])
    assert encoded["path"].tolist() == ["0", "1", "2"]
    assert files.drop(columns="path").equals(encoded.drop(columns="path"))


def test_input_that_is_not_a_list_of_images_is_refused(bundle: Path, image_folder: Path) -> None:
    predictor = load_predictor(str(bundle))
    for single in (image_folder / "00.png", str(image_folder / "00.png"), b"x"):
        with pytest.raises(TypeError, match="want a list of images"):
            predictor.predict(single)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"image 0: want uint8 \[H, W, 3\], got float64"):
        predictor.predict([np.zeros((4, 4, 3))])


def test_path_of_invalid_bytes_is_escaped(bundle: Path, image_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"b\xff.png")
    shutil.copy(image_folder / "00.png", path)
    row = load_predictor(str(bundle)).predict([path]).iloc[0]
    assert row["path"] == rf"{tmp_path}/b\xff.png"
    assert row["decision"] != Decision.ERROR


def test_large_image_is_measured_large_and_predicted_small(bundle: Path, tmp_path: Path) -> None:
    """The model's copy of a JPEG comes from a reduced decode, as in the stage `ingest`."""
    rng = np.random.default_rng(8)
    coarse = rng.integers(90, 255, (9, 16, 3), dtype=np.uint8)
    path = tmp_path / "large.jpg"
    cv2.imwrite(str(path), cv2.resize(coarse, (1600, 900), interpolation=cv2.INTER_CUBIC))
    model, meta = load_model(bundle)
    small = letterbox_image(open_image(path, 48), 48)[None]
    expected = softmax(compute_logits(model, small, meta) / 1e-4, axis=1).max()
    plain = write_bundle(bundle, tmp_path / "b", policy=_build_policy(threshold=0.8), slices=[])
    for folder in (bundle, plain):  # with and without rules that need a measurement
        row = load_predictor(str(folder)).predict([path]).iloc[0]
        assert row["probability"] == pytest.approx(float(expected), abs=2e-3)
    row = load_predictor(str(bundle), attributes=["luminance"]).predict([path]).iloc[0]
    full_size = shrink_image(open_image(path), 1024)
    assert row["luminance"] == measure(DecodedImage(full_size, None, 1600, 900))


@pytest.mark.parametrize(
    ("margin", "is_member"), [(0.0, True), (-0.001, False), (30.0, True), (-30.0, False)]
)
def test_rule_near_its_threshold_is_tested_on_the_full_size_image(
    bundle: Path, tmp_path: Path, margin: float, is_member: bool
) -> None:
    """Small bright lamps are dimmer in a reduced decode."""
    rng = np.random.default_rng(0)
    path = tmp_path / "lamps.jpg"
    lamps = np.where(rng.random((300, 400, 1)) < 0.05, 255, 60).astype(np.uint8).repeat(3, 2)
    cv2.imwrite(str(path), lamps)
    full_size = measure(DecodedImage(open_image(path, None), None, 400, 300))
    reduced = measure(DecodedImage(open_image(path, 48), None, 400, 300))
    assert 0.01 < abs(full_size - reduced) < 6
    rule = Rule((Condition("luminance", "<=", full_size + margin),)).dump_json()
    slices = [{"slice": "s1", "words": "", "rule": rule}]
    folder = write_bundle(bundle, tmp_path / "b", slices=slices)
    row = load_predictor(str(folder)).predict([path]).iloc[0]
    assert row["slices"] == ("s1" if is_member else "")
    assert row["correction"] == ("exposure x4" if is_member else "")


def test_rules_read_the_columns_of_a_record(bundle: Path, image_folder: Path) -> None:
    source = str(image_folder / "01.png")
    records = [
        ImageRecord(source, "a", None, columns={"door": "east"}),
        ImageRecord(source, "b", None, columns={"door": "west"}),
        RejectedFile("c", "a video"),
        ImageRecord(source, "d", None, group="visit 7"),
    ]
    rows = list(load_predictor(str(bundle)).stream_rows(records))
    assert [row["slices"] for row in rows] == ["s2", "", None, ""]
    assert [row["path"] for row in rows] == ["a", "b", "c", "d"]
    assert rows[2]["error"] == "a video"
    assert rows[3]["group"] == "visit 7"


def test_rows_keep_their_columns_for_any_number_of_images(bundle: Path, image_folder: Path) -> None:
    predictor = load_predictor(str(bundle))
    assert list(predictor.predict([]).columns) == list(predictor.columns)
    pair = [image_folder / "01.png", image_folder / "02.png"]
    rows = predictor.predict(pair * (BATCH_SIZE // 2 + 1))
    assert len(rows) == BATCH_SIZE + 2
    assert rows["probability"].iloc[0] == pytest.approx(rows["probability"].iloc[-2], abs=1e-6)
    records = [ImageRecord(str(path), path.name, None) for path in pair]
    assert [tuple(row) for row in predictor.stream_rows(records)] == [predictor.columns] * 2


def test_unknown_model_or_attribute_is_an_error(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run has promoted a champion yet"):
        load_predictor("champion", tmp_path)
    with pytest.raises(InputError, match="nowhere: neither champion, nor a run in"):
        load_predictor("nowhere", tmp_path)
    with pytest.raises(InputError, match="there is no attribute 'brightness'"):
        load_predictor(str(bundle), attributes=("brightness",))
    assert load_predictor("run1", bundle.parents[2]).meta["classes"] == ["lying", "standing"]
