from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.slices.prescription.collection_requests import write_requests


def test_as_many_are_wanted_as_make_the_slice_as_common_in_training_as_on_val(
    tmp_path: Path,
) -> None:
    ids = [f"i{k}" for k in range(200)]
    images = pd.DataFrame({"image_id": ids, "path": [f"{i}.jpg" for i in ids]})
    splits = pd.DataFrame({"image_id": ids, "split": ["train"] * 100 + ["val"] * 100})
    inside = np.zeros(200, bool)
    inside[:3] = inside[100:130] = True
    confirmed = pd.DataFrame({"slice": ["s1"], "words": ["Too dark."], "rule": ["luminance <= 60"]})
    scores = np.linspace(0, 1, 30)
    membership = pd.DataFrame({"image_id": ids[100:130], "slice": "s1", "score": scores})
    issue = {
        "image_id": "i7",
        "label": "a",
        "suggested": "b",
        "confidence": 0.9,
        "kind": "suspected",
        "split": "train",
    }
    folder = write_requests(
        tmp_path / "exports",
        {"s1": inside},
        images,
        splits,
        confirmed,
        membership,
        pd.DataFrame([issue]),
    )
    collect = pd.read_csv(folder / "collect.csv").iloc[0]
    assert (collect["have"], collect["wanted"]) == (3, 30)
    assert collect["examples"].split("; ")[0] == "i129.jpg", "the most typical first"
    assert pd.read_csv(folder / "relabel.csv")["path"].tolist() == ["i7.jpg"]
