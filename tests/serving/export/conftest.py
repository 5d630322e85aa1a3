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
from pipeline.storage.artifact_store import RunFolder, write_artifact
from tests.factory import planted
from tests.night import draw
from tests.report.conftest import build_page


def correction(
    name: str, remedy: str, strength: float, *conditions: Condition
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A policy's correction and the slice whose rule says where it is made."""
    rule = Rule(conditions)
    told = {
        "slice": name,
        "when": rule.format_text(),
        "remedy": remedy,
        "strength": strength,
        "words": f"{remedy} at {strength:g}",
    }
    return told, {"slice": name, "words": f"{name}.", "rule": rule.dump_json()}


def begin(path: Path, data: Path, side: int) -> RunFolder:
    """A run with the images of `data` read and measured by the real stages, all of them in val, and a report."""
    run = RunFolder.open_or_create(path)
    (path / "ingest").mkdir()
    context = StageContext(path.name, 0, path / "ingest", path.parent)
    made = ingest.run(ingest.Config(data=data, side=side), context)
    made |= measure.run(measure.Config(), context, images=made["images"])
    made["splits"] = pd.DataFrame(
        {"image_id": made["images"]["image_id"], "split": "val", "fold": 0}
    )
    made["summary"] = build_summary(build_page(planted()))
    made["comparison"] = {"corrections": {"val": [], "test": None}}
    for name in ("images", "attributes", "pixels", "splits", "summary", "comparison"):
        run.get_artifact_path(name).parent.mkdir(exist_ok=True)
        write_artifact(run.get_artifact_path(name), ARTIFACT_CONTRACTS[name], made[name])
    (path / "config.yaml").write_text(f"ingest: {{data: {data.name}}}\n")
    return run


def put(
    run: RunFolder,
    network: Any,
    meta: dict[str, Any],
    corrections: list[tuple[Any, Any]],
    threshold: float,
) -> Path:
    """The run's bundle."""
    folder = save_model(run.get_artifact_path("bundle"), network, meta)
    decline = {
        "threshold": threshold,
        "target_error": 0.02,
        "error": 0.01,
        "coverage": 0.8,
        "n": 99,
        "test": None,
    }
    policy = {
        "decline": decline,
        "corrections": [c for c, _ in corrections],
        "refused": [],
        "prescriptions": [],
    }
    sent = {"policy": policy, "slices": [s for _, s in corrections]}
    whole = {**meta, **sent, "arm": "targeted", "seed": 1000, "run_id": run.run_id}
    (folder / "bundle.json").write_text(json.dumps(whole))
    return folder


def taught(run: RunFolder, backbone: str, weights: str, side: int) -> tuple[Any, dict[str, Any]]:
    """A network whose head was fitted on the run's images."""
    labels, pixels = (
        run.load_artifact("images")["label"].to_numpy(),
        np.array(run.load_artifact("pixels")),
    )
    classes = sorted(set(labels))
    network, meta = build_network(backbone, weights, classes, side, 0.0, seed=1)
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
    """A run on drawn images of 48 px: dark ones brightened, those of the small hours sharpened (which no graph can)."""
    home = tmp_path_factory.mktemp("export")
    run = begin(home / "runs" / "run1", draw(home / "images", visits=40), 48)
    dark = correction("s1", "exposure", 3.0, Condition("luminance", "<=", 45.0))
    small = correction("s2", "sharpen", 0.5, Condition("hour", "between", [22.0, 4.0]))
    put(run, *taught(run, "test_efficientnet", "none", 48), [dark, small], 0.62)
    return run
