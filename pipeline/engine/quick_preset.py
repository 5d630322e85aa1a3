"""Settings of a first look: the whole loop in a minute or two instead of a verdict for good."""

from __future__ import annotations

QUICK_OVERRIDES = (
    "ingest.side=96",  # a sixth of the time of 224 pixels
    "train.epochs=4",
    "probe.max_images=200",  # interventions are screened on these images alone
    "probe.shortcut_images=10",
    "explain.matched_images=40",
    "prescribe.label_safety_images=8",
    "retrain.epochs=1",  # a quarter of the epochs of train, as by default
    "retrain.seeds=1",
    "retrain.generic=false",
    "compare.max_heat_maps=12",
)
"""Settings under those that a person gives; the verdict states what one seed does not judge."""
