import json
from typing import Any

from huggingface_hub import ModelCard

from pipeline.report.run_summary import build_summary
from pipeline.serving.export.model_card import format_share, render_card
from tests.factory import planted
from tests.report.conftest import build_page

DECLINE = {
    "threshold": 0.85,
    "target_error": 0.02,
    "error": 0.019,
    "coverage": 0.7744,
    "test": {"n": 479, "coverage": 0.8, "error": {"value": 0.021, "low": 0.01, "high": 0.044}},
}
LEFT_OUT = {
    "words": "sharpened",
    "when": "hour >= 22",
    "carried": False,
    "elsewhere": None,
    "of": 9,
    "why": "no clock",
    "gains": {},
}
GAINS = {
    "val": {"value": 0.14, "low": 0.05, "high": 0.23, "n": 100},
    "test": {"value": 0.046, "low": -0.011, "high": 0.102, "n": 87},
}
INSIDE = {
    "words": "exposure x4",
    "when": "luminance <= 45",
    "carried": True,
    "elsewhere": 3,
    "of": 90,
    "why": "",
    "gains": GAINS,
}


def _summary(**options: bool) -> dict[str, Any]:
    return build_summary(build_page(planted(**options)))


def _bundle(arm: str, decline: dict[str, Any] = DECLINE) -> dict[str, Any]:
    known = {
        "classes": ["badge", "no_badge"],
        "backbone": "tf_efficientnet_lite0",
        "side": 64,
        "seed": 7,
    }
    return {**known, "run_id": "demo-1", "arm": arm, "policy": {"decline": decline}}


def _part(summary: dict[str, Any], what: str) -> dict[str, Any]:
    return next(p for p in summary["metrics"]["test"]["parts"] if p["what"] == what)


def test_its_metadata_is_what_hugging_face_reads() -> None:
    summary = _summary()
    data = ModelCard(render_card(summary, _bundle("targeted"), [], "data/gate")).data
    assert (data.library_name, data.pipeline_tag) == ("nightshift", "image-classification")
    assert data.eval_results is not None
    result = data.eval_results[0]
    assert result.metric_value == summary["metrics"]["test"]["accuracy"]["after"]["value"]
    assert (result.dataset_name, result.dataset_split, result.metric_type) == (
        "data/gate",
        "test",
        "accuracy",
    )


def test_it_tells_the_run() -> None:
    summary = _summary()
    text = render_card(summary, _bundle("targeted"), [INSIDE, LEFT_OUT], "data/gate")
    whole, first = (
        _part(summary, "all"),
        next(s for s in summary["slices"] if s["status"] == "confirmed"),
    )
    assert (
        f"| test: all | {whole['n']} ({whole['groups']}) | {format_share(whole['before'])} |"
        in text
    )
    assert format_share(whole["after"]) in text
    assert first["words"] in text
    assert f"**{first['slice']}** ({first['rule']})" in text
    assert "It was trained with exposure at strength 0.15 to 0.4 (240 images)." in text
    assert "points over the control on test" in text
    assert "confidence is at least 0.850" in text
    assert (
        "On the sealed test it answered 80.0\u202f% of 479 images, 2.1\u202f% (1.0 to 4.4\u202f%) of them"
        in text
    )
    assert (
        "All figures above are of images as they come, without this, but for those of the decline rule"
        in text
    )
    assert (
        "exposure x4, where luminance <= 45. On val it changes their accuracy by +14.0 points (+5.0 to"
        in text
    )
    assert (
        "On test it changes their accuracy by +4.6 points (\u22121.1 to +10.2; 87 images)." in text
    )
    assert "counted there for the model before" in text
    assert "Measured on the model's own pixels: 3 of 90 images" in text
    assert "sharpened, where hour >= 22. **Not in this file**: no clock." in text
    assert all(line in text for line in summary["verdict"]["limits"])
    assert "{{" not in text
    assert "No repair is in this model" not in text


def test_a_refused_run_claims_no_repair() -> None:
    summary = _summary(promoted=False)
    text = render_card(summary, _bundle("before"), [], "data/gate")
    assert "**No repair is in this model.**" in text
    assert "It was trained with" not in text
    assert "Not fixed: this is the model from before." in text
    result = ModelCard(text).data.eval_results
    assert result is not None
    assert result[0].metric_value == summary["metrics"]["test"]["accuracy"]["before"]["value"]


def test_a_sealed_test_gives_no_figures() -> None:
    summary = _summary(sealed=True, promoted=False)
    text = render_card(summary, _bundle("before", {**DECLINE, "test": None}), [], "data/gate")
    assert "test: all" not in text
    assert "On the sealed test" not in text
    assert "| val: all |" in text


def test_nothing_found_and_nobody_answered() -> None:
    summary = _summary(slices=False, promoted=False)
    decline = {**DECLINE, "threshold": None, "error": None, "coverage": 0.0, "test": None}
    text = render_card(summary, _bundle("before", decline), [], "data/gate")
    assert "No group of images was confirmed to fail" in text
    assert "it declines every image" in text
    assert json.loads(json.dumps(ModelCard(text).data.to_dict()))["library_name"] == "nightshift"


def test_what_is_unknown_is_a_dash() -> None:
    assert format_share(None) == "–"
    assert format_share({"value": 0.9, "low": None, "high": None}) == "90.0\u202f% (–)"
