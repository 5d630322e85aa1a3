from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.domain.slice_traits import TrainingDistanceTrait, dump_traits
from pipeline.slices.prescription.collection_requests import write_requests


def test_requests_ask_for_the_share_that_the_slice_has_in_validation(tmp_path: Path) -> None:
    ids = [f"i{k}" for k in range(200)]
    images = pd.DataFrame({"image_id": ids, "path": [f"{i}.jpg" for i in ids]})
    splits = pd.DataFrame({"image_id": ids, "split": ["train"] * 100 + ["val"] * 100})
    is_member = np.zeros(200, bool)
    is_member[:3] = is_member[100:130] = True
    confirmed = pd.DataFrame(
        {
            "slice": ["s1", "s2"],
            "words": ["Too dark.", "Small (cause unnamed)."],
            "rule": ["luminance <= 60", "size <= 90"],
            "common": [None, "unlike anything in training"],
            "shared_traits": [
                "[]",
                dump_traits([TrainingDistanceTrait(0.9, 0.1, 50, (ids[7], ids[4]))]),
            ],
        }
    )
    class_slices = pd.DataFrame(
        {
            "subject": ["class b"],
            "look_for": ["collect more images of it"],
            "classes": ['["b"]'],
            "training_images": [8],
            "usual_training_images": [92],
        }
    )
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
        {"s1": is_member, "s2": is_member},
        images,
        splits,
        confirmed,
        membership,
        pd.DataFrame([issue]),
        class_slices,
    )
    requests = pd.read_csv(folder / "collect.csv", keep_default_na=False)
    assert requests["look_for"].tolist() == [
        "",
        "unlike anything in training",
        "collect more images of it",
    ]
    assert requests["nearest_training"].tolist() == ["", "i7.jpg; i4.jpg", ""]
    assert requests[["have", "wanted"]].iloc[2].tolist() == [8, 92]
    request = requests.iloc[0]
    assert (request["have"], request["wanted"]) == (3, 30)
    examples = request["examples"].split("; ")
    assert examples == [f"i{k}.jpg" for k in (129, 128, 127, 126, 125)], "most typical first"
    assert pd.read_csv(folder / "relabel.csv")["path"].tolist() == ["i7.jpg"]
