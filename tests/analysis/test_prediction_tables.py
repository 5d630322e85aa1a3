from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.analysis.prediction_tables import (
    align_predictions,
    read_embeddings,
    read_image_table,
    read_predictions,
)
from pipeline.contracts import InputError

IMAGES = pd.DataFrame(
    {"image_id": ["1", "2", "3"], "path": ["a.png", "b.png", "c.png"], "label": ["00", "01", "00"]}
)
SCORES = pd.DataFrame(
    {"image_id": ["1", "2", "3"], "prob_00": [0.7, 0.2, 0.5], "prob_01": [0.3, 0.8, 0.5]}
)


def _csv(folder: Path, table: pd.DataFrame, name: str = "t.csv") -> Path:
    table.to_csv(folder / name, index=False)
    return folder / name


def test_ids_and_labels_stay_text(tmp_path: Path) -> None:
    table, fold = read_image_table(_csv(tmp_path, IMAGES.assign(weight=[1.5, 2, 3])))
    assert table["label"].tolist() == ["00", "01", "00"]
    assert table["image_id"].tolist() == ["1", "2", "3"]
    assert table["weight"].dtype == float
    assert fold is None


def test_probabilities_become_logits_in_the_order_of_the_sorted_classes(tmp_path: Path) -> None:
    ids, names, logits = read_predictions(
        _csv(tmp_path, SCORES[["image_id", "prob_01", "prob_00"]])
    )
    assert (ids, names) == (["1", "2", "3"], ["00", "01"])
    assert np.exp(logits) == pytest.approx(SCORES[["prob_00", "prob_01"]].to_numpy(), rel=1e-5)


def test_logits_are_taken_as_they_are(tmp_path: Path) -> None:
    table = pd.DataFrame({"image_id": ["a"], "logit_x": [3.0], "logit_y": [-90.0]})
    table.to_parquet(tmp_path / "p.parquet")
    assert read_predictions(tmp_path / "p.parquet")[2].tolist() == [[3.0, -90.0]]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (IMAGES.drop(columns="label"), "no column 'label'"),
        (IMAGES.rename(columns={"image_id": "image_ids"}), "did you mean image_ids"),
        (IMAGES.assign(image_id=["1", "1", "3"]), "'1' is in more than one row"),
        (IMAGES.assign(label=["00", None, "00"]), "row 2 has no label"),
        (IMAGES.iloc[:0], "holds no row"),
        (IMAGES.assign(fold=[0, 1.5, 1]), "fold must be a whole number"),
        (IMAGES.assign(fold=[0, 0, 0]), "all rows are in one fold"),
        (
            IMAGES.assign(fold=[0, 1, 1], group=["g", "g", "h"]),
            "group 'g' is in more than one fold",
        ),
        (
            IMAGES.assign(captured_at=["2026-03-01 22:00:00", "yesterday", None]),
            "'yesterday' is no date and time",
        ),
    ],
)
def test_a_bad_table_of_images_raises_a_one_line_error(
    tmp_path: Path, table: pd.DataFrame, words: str
) -> None:
    with pytest.raises(InputError, match=words) as error_info:
        read_image_table(_csv(tmp_path, table))
    assert "\n" not in str(error_info.value)
    assert "t.csv" in str(error_info.value)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (SCORES.assign(prob_00=[0.7, 0.2, 0.9]), "image '3' add up to 1.4, not to 1"),
        (SCORES.assign(prob_00=[1.3, 0.2, 0.5], prob_01=[-0.3, 0.8, 0.5]), "image '1'"),
        (SCORES.assign(prob_00=[0.7, None, 0.5]), "image '2' has a prob_ that is missing"),
        (SCORES.assign(prob_00=["high", "low", "low"]), "holds a value that is no number"),
        (
            pd.DataFrame({"image_id": ["1"], "logit_a": [1e300], "logit_b": [0.0]}),
            "image '1' has a logit_ that is .* beyond",
        ),
        (SCORES.assign(prob_00=[np.inf, 0.2, 0.5]), "not finite"),
        (SCORES.assign(logit_00=1.0), "both prob_ and logit_"),
        (SCORES[["image_id"]], "no column prob_<class> or logit_<class>"),
        (SCORES.drop(columns="prob_01"), "is the only class"),
    ],
)
def test_a_bad_table_of_predictions_raises_a_one_line_error(
    tmp_path: Path, table: pd.DataFrame, words: str
) -> None:
    with pytest.raises(InputError, match=words) as error_info:
        read_predictions(_csv(tmp_path, table))
    assert "\n" not in str(error_info.value)


def test_files_that_are_not_there_or_not_readable(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file \(the table of images\)"):
        read_image_table(tmp_path / "none.csv")
    (tmp_path / "p.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="cannot be read"):
        read_predictions(tmp_path / "p.parquet")
    (tmp_path / "e.npy").write_bytes(b"no array")
    with pytest.raises(InputError, match=r"cannot be read as an \.npy array"):
        read_embeddings(tmp_path / "e.npy", 3)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 2), np.float32), "has 4 rows, the predictions have 3"),
        (np.zeros((3, 2), np.int64), "a float array"),
        (np.zeros(3), "a float array"),
        (np.array([[1.0], [np.nan], [2.0]]), "row 1 is not finite"),
        (np.array([[1.0], [1e300], [2.0]]), "row 1 is not finite, or too large"),
        (np.array([[{}], [None], [1]], dtype=object), "cannot be read as an .npy array"),
    ],
)
def test_embeddings_of_another_shape_are_refused(
    tmp_path: Path, array: np.ndarray, words: str
) -> None:
    np.save(tmp_path / "e.npy", array)
    with pytest.raises(InputError, match=words):
        read_embeddings(tmp_path / "e.npy", 3)


def test_infinite_and_huge_metadata_are_unknown(tmp_path: Path) -> None:
    table = IMAGES.assign(weight=[1.5, np.inf, -1e300], note=["a", "b", "c"])
    read, _ = read_image_table(_csv(tmp_path, table))
    assert read["weight"].isna().tolist() == [False, True, True]
    assert read["note"].tolist() == ["a", "b", "c"]


def test_an_archive_of_arrays_is_no_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", a=np.zeros((3, 2)))
    with pytest.raises(InputError, match="this is an archive"):
        read_embeddings(tmp_path / "e.npz", 3)


def test_rows_are_matched_by_id_and_strangers_are_named() -> None:
    paths = (Path("M.csv"), Path("P.csv"))
    assert align_predictions(IMAGES, ["3", "1", "2"], ["00", "01"], paths).tolist() == [1, 2, 0]
    with pytest.raises(InputError, match=r"P.csv: lacks 1 of the 3 images of M.csv, first '2'"):
        align_predictions(IMAGES, ["3", "1"], ["00", "01"], paths)
    with pytest.raises(InputError, match=r"M.csv: lacks 1 of the 4 images of P.csv, first '9'"):
        align_predictions(IMAGES, ["3", "1", "2", "9"], ["00", "01"], paths)
    with pytest.raises(InputError, match=r"label '00' is no class of P.csv"):
        align_predictions(IMAGES, ["3", "1", "2"], ["0", "01"], paths)


def test_rounded_probabilities_are_normalized_with_a_note(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "image_id": ["1", "2", "3"],
            "prob_a": [0.33, 0.26, 0.5],
            "prob_b": [0.33, 0.04, 0.5],
            "prob_c": [0.33, 0.69, 0.0],
        }
    )
    notes: list[str] = []
    _, _, logits = read_predictions(_csv(tmp_path, table), notes.append)
    shares = np.exp(logits)
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(shares[0], 1 / 3, atol=1e-5)
    assert "rounded to 2 decimals: those of 2 of 3 images" in notes[0]


def test_more_than_rounding_explains_is_refused(tmp_path: Path) -> None:
    table = pd.DataFrame({"image_id": ["1", "2"], "prob_a": [0.33, 0.5], "prob_b": [0.33, 0.5]})
    with pytest.raises(InputError, match=r"add up to 0\.66"):
        read_predictions(_csv(tmp_path, table))
