import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from pipeline.contracts import StageContext
from pipeline.domain.rules import Condition, Rule
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.learning.inference.model_outputs import compute_logits, extract_features
from pipeline.learning.models.backbone import build_network, save_model
from pipeline.report.run_summary import build_summary
from pipeline.stages import ingest, measure
from pipeline.statistics.classification.selective_prediction import DeclineStatus
from pipeline.storage.artifact_store import RunFolder, write_artifact
from tests.factory import planted
from tests.night import draw
from tests.report.conftest import build_page


def build_correction(
    slice_name: str, remedy: str, strength: float, *conditions: Condition
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A correction of a policy, and the slice whose rule says when it is applied."""
    rule = Rule(conditions)
    correction = {
        "slice": slice_name,
        "when": rule.format_text(),
        "remedy": remedy,
        "strength": strength,
        "words": f"{remedy} at {strength:g}",
    }
    slice_record = {"slice": slice_name, "words": f"{slice_name}.", "rule": rule.dump_json()}
    return correction, slice_record


def build_run(path: Path, data: Path, side: int) -> RunFolder:
    """A run with a report, whose images the real stages read and measured, all of them in val."""
    run = RunFolder.open_or_create(path)
    (path / "ingest").mkdir()
    context = StageContext(path.name, 0, path / "ingest", path.parent)
    artifacts = ingest.run(ingest.Config(data=data, side=side), context)
    artifacts |= measure.run(measure.Config(), context, images=artifacts["images"])
    image_ids = artifacts["images"]["image_id"]
    artifacts["splits"] = pd.DataFrame({"image_id": image_ids, "split": "val", "fold": 0})
    artifacts["summary"] = build_summary(build_page(planted()))
    artifacts["comparison"] = {"corrections": {"val": [], "test": None}}
    for name in ("images", "attributes", "pixels", "splits", "summary", "comparison"):
        run.get_artifact_path(name).parent.mkdir(exist_ok=True)
        write_artifact(run.get_artifact_path(name), ARTIFACT_CONTRACTS[name], artifacts[name])
    (path / "config.yaml").write_text(f"ingest: {{data: {data.name}}}\n")
    return run


def save_bundle(
    run: RunFolder,
    network: Any,
    meta: dict[str, Any],
    corrections: list[tuple[dict[str, Any], dict[str, Any]]],
    threshold: float,
) -> Path:
    """Save a network as the run's bundle, with corrections of `build_correction`."""
    folder = save_model(run.get_artifact_path("bundle"), network, meta)
    decline = {
        "threshold": threshold,
        "target_error": 0.02,
        "status": DeclineStatus.HELD,
        "bound": 0.015,
        "error": 0.01,
        "coverage": 0.8,
        "n": 99,
        "test": None,
    }
    policy = {
        "decline": decline,
        "corrections": [correction for correction, _ in corrections],
        "refused": [],
        "prescriptions": [],
    }
    record = {
        **meta,
        "bundle_format": 2,
        "policy": policy,
        "slices": [slice_record for _, slice_record in corrections],
        "arm": "targeted",
        "seed": 1000,
        "run_id": run.run_id,
    }
    (folder / "bundle.json").write_text(json.dumps(record))
    return folder


def fit_network(
    run: RunFolder, backbone: str, weights: str, side: int
) -> tuple[Any, dict[str, Any]]:
    """A network for the run's images; packaged weights get a head that is fitted on them."""
    labels = run.load_artifact("images")["label"].to_numpy()
    pixels = np.array(run.load_artifact("pixels"))
    network, meta = build_network(backbone, weights, sorted(set(labels)), side, 0.0, seed=1)
    if weights == "packaged":
        head = LogisticRegression(max_iter=300, C=0.01).fit(extract_features(pixels), labels)
        state = network.state_dict()
        state["classifier.weight"][:] = state["classifier.weight"].new_tensor(head.coef_)
        state["classifier.bias"][:] = state["classifier.bias"].new_tensor(head.intercept_)
    else:
        meta["temperature"] = float(compute_logits(network, pixels, meta).std())
    return network, meta


@pytest.fixture(scope="session")
def night_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run on drawn images of 48 px.

    Dark images are brightened. Images of the small hours are sharpened, which no graph can do.
    """
    home = tmp_path_factory.mktemp("export")
    run = build_run(home / "runs" / "run1", draw(home / "images", visits=40), 48)
    dark = build_correction("s1", "exposure", 3.0, Condition("luminance", "<=", 45.0))
    late = build_correction("s2", "sharpen", 0.5, Condition("hour", "between", [22.0, 4.0]))
    network, meta = fit_network(run, "test_efficientnet", "none", 48)
    save_bundle(run, network, meta, [dark, late], 0.62)
    return run
