from typing import Any

from huggingface_hub import ModelCard

from pipeline.report.run_summary import build_summary
from pipeline.report.sentences.number_format import format_interval, format_percent, format_points
from pipeline.serving.export.model_card import format_share, render_card
from pipeline.statistics.classification.selective_prediction import DeclineStatus
from tests.factory import planted
from tests.report.conftest import build_page

DECLINE = {
    "threshold": 0.85,
    "target_error": 0.02,
    "status": DeclineStatus.HELD,
    "bound": 0.0197,
    "error": 0.019,
    "coverage": 0.7744,
    "test": {"n": 479, "coverage": 0.8, "error": {"value": 0.021, "low": 0.01, "high": 0.044}},
}
OMITTED = {
    "words": "sharpened",
    "when": "hour >= 22",
    "is_carried": False,
    "mismatch_count": None,
    "image_count": 9,
    "omission_reason": "no clock",
    "gains": {},
}
GAINS = {
    "val": {"value": 0.14, "low": 0.05, "high": 0.23, "n": 100},
    "test": {"value": 0.046, "low": -0.011, "high": 0.102, "n": 87},
}
CARRIED = {
    "words": "exposure x4",
    "when": "luminance <= 45",
    "is_carried": True,
    "mismatch_count": 3,
    "image_count": 90,
    "omission_reason": "",
    "gains": GAINS,
}


def _build_summary(**options: bool) -> dict[str, Any]:
    return build_summary(build_page(planted(**options)))


def _build_bundle(arm: str, decline: dict[str, Any] = DECLINE) -> dict[str, Any]:
    record = {"classes": ["badge", "no_badge"], "backbone": "tf_efficientnet_lite0", "side": 64}
    policy = {"decline": decline}
    return {**record, "seed": 7, "run_id": "demo-1", "arm": arm, "policy": policy}


def _get_accuracy(summary: dict[str, Any], arm: str) -> float:
    return float(summary["metrics"]["test"]["accuracy"][arm]["value"])


def test_metadata_is_valid_for_hugging_face() -> None:
    summary = _build_summary()
    data = ModelCard(render_card(summary, _build_bundle("targeted"), [], "data/gate")).data
    assert (data.library_name, data.pipeline_tag) == ("nightshift", "image-classification")
    assert {"timm", "tf_efficientnet_lite0"} <= set(data.tags)
    (result,) = data.eval_results
    assert result.metric_value == _get_accuracy(summary, "after")
    assert (result.dataset_name, result.dataset_split) == ("data/gate", "test")
    assert result.metric_type == "accuracy"


def test_card_has_the_figures_of_the_run() -> None:
    summary = _build_summary()
    text = render_card(summary, _build_bundle("targeted"), [], "data/gate")
    (subset,) = [part for part in summary["metrics"]["test"]["parts"] if part["what"] == "all"]
    counts = f"{subset['n']} ({subset['groups']})"
    assert f"| test: all | {counts} | {format_share(subset['before'])} |" in text
    assert format_share(subset["after"]) in text
    confirmed = [item for item in summary["slices"] if item["status"] == "confirmed"]
    gains = {part["slice"]: part["gain"] for part in summary["metrics"]["test"]["parts"]}
    for item in confirmed:
        assert f"**{item['slice']}** ({item['rule']}). {item['words']}" in text
        assert format_points(gains[item["slice"]]["value"]) in text
    assert "exposure x0.15 to x0.4 (240 images)" in text
    for line in summary["verdict"]["limits"]:
        assert line in text
    assert "{{" not in text


def test_card_has_the_figures_of_the_decline_rule() -> None:
    text = render_card(_build_summary(), _build_bundle("targeted"), [], "data/gate")
    test = DECLINE["test"]
    assert "confidence is at least 0.850" in text
    assert f"{format_percent(test['coverage'])} of 479 images" in text
    assert format_share(test["error"]) in text
    dark = {**DECLINE, "light": 45.0}
    text = render_card(_build_summary(), _build_bundle("targeted", dark), [], "data/gate")
    assert "luminance at least 45.0" in text


def test_card_describes_each_correction() -> None:
    corrections = [CARRIED, OMITTED]
    text = render_card(_build_summary(), _build_bundle("targeted"), corrections, "data/gate")
    (carried,) = [line for line in text.splitlines() if line.startswith("- exposure x4")]
    for gain in GAINS.values():
        assert format_points(gain["value"]) in carried
        assert format_interval((gain["low"], gain["high"]), "points") in carried
    assert "3 of 90 validation images" in carried
    (omitted,) = [line for line in text.splitlines() if line.startswith("- sharpened")]
    assert "**Not in this file**: no clock." in omitted


def test_card_of_a_refused_run_claims_no_repair() -> None:
    summary = _build_summary(promoted=False)
    text = render_card(summary, _build_bundle("before"), [], "data/gate")
    assert "**No repair is in this model.**" in text
    assert "trained with" not in text
    (result,) = ModelCard(text).data.eval_results
    assert result.metric_value == _get_accuracy(summary, "before")
    assert "No repair is in this model" not in render_card(
        _build_summary(), _build_bundle("targeted"), [], "data/gate"
    )


def test_card_of_a_sealed_test_has_no_test_figures() -> None:
    summary = _build_summary(sealed=True, promoted=False)
    bundle = _build_bundle("before", {**DECLINE, "test": None})
    text = render_card(summary, bundle, [], "data/gate")
    assert "| test:" not in text
    assert "sealed test set" not in text
    assert "| validation: all |" in text


def test_card_without_slices_and_without_a_threshold() -> None:
    decline = {**DECLINE, "threshold": None, "error": None, "coverage": 0.0, "test": None}
    summary = _build_summary(slices=False, promoted=False)
    text = render_card(summary, _build_bundle("before", decline), [], "data/gate")
    assert "No group of images was confirmed to fail" in text
    assert "it declines every image" in text
    assert ModelCard(text).data.library_name == "nightshift"


def test_unknown_share_is_a_dash() -> None:
    assert format_share(None) == "–"
    assert format_share({"value": 0.9, "low": None, "high": None}) == "90.0\u202f% (–)"
