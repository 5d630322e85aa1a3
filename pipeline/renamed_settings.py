"""Settings of version 0.1 that have another name now: an old config is refused with the new key."""

from __future__ import annotations

from collections.abc import Mapping

_LOOP_SETTINGS = {
    "batch": "batch_size",
    "rate": "learning_rate",
    "warmup": "warmup_share",
    "ema": "ema_decay",
    "small": "initial_side_share",
    "frozen": "frozen_share",
    "every": "evaluation_interval",
    "passes": "image_passes",
    "class_weights": "class_balance",
}
_AUGMENTATION_SETTINGS = {
    "shift": "max_shift",
    "crop": "min_crop_area",
    "max_crop": "min_crop_area",
}
RENAMED_SETTINGS: Mapping[str, Mapping[str, str]] = {
    "train": _LOOP_SETTINGS | _AUGMENTATION_SETTINGS,
    "retrain": _LOOP_SETTINGS,
    "ingest": {"boxes": "crop_boxes", "links": "follow_links"},
    "split": {"by": "strategy", "site": "site_column", "tie": "join_duplicate_groups"},
    "evaluate": {
        "batch": "batch_size",
        "suspicion": "label_issue_threshold",
        "label_photos": "label_check_images",
    },
    "probe": {
        "batch": "batch_size",
        "shortcuts": "check_shortcuts",
        "shortcut_asks": "shortcut_predictions",
    },
    "cluster": {"slices": "max_slices", "least": "min_images", "same": "min_overlap"},
    "explain": {"level": "false_discovery_rate", "photos": "matched_images"},
    "follow": {"same": "min_overlap", "gone": "closed_excess"},
    "prescribe": {
        "share": "remedy_share",
        "repeats": "max_repeats",
        "search": "search_passes",
        "tries": "max_plans",
        "rate": "learning_rate",
        "relabels": "label_change_threshold",
        "label_photos": "label_safety_images",
        "simulated": "simulated_share",
        "simulated_photos": "simulated_images",
    },
    "compare": {
        "margin": "harm_margin",
        "class_margin": "class_harm_margin",
        "saliency": "max_heat_maps",
    },
    "report": {"photos": "image_mode", "contact": "contact_sheet_images"},
    "check": {  # limits of `nightshift datasets check`
        "max_across": "max_cross_split_pairs",
        "max_conflicts": "max_label_conflicts",
        "max_torn": "max_split_groups",
        "max_copies": "max_duplicate_ratio",
        "max_imbalance": "max_class_ratio",
        "min_class": "min_class_images",
        "max_unlabelled": "max_unlabeled",
        "odd_ratio": "max_aspect_ratio",
        "small_below": "small_side_below",
    },
}
"""By section, the key of version 0.1 and the key to write instead."""

REMOVED_SETTINGS: Mapping[str, Mapping[str, str]] = {
    "schedule": {
        "mail_server": "write the server into a mailto:// address of schedule.notify",
        "mail_from": "write the sender into a mailto:// address of schedule.notify",
    }
}
"""By section, a key of version 0.1 that is gone and the fix."""


def describe_renamed_key(section: str, key: str) -> str:
    """Return one line with the present key for a key of version 0.1, or an empty string.

    >>> describe_renamed_key("train", "rate")
    'train.rate was renamed: write train.learning_rate'
    >>> describe_renamed_key("train", "epochs")
    ''
    """
    if key in RENAMED_SETTINGS.get(section, {}):
        new = RENAMED_SETTINGS[section][key]
        return f"{section}.{key} was renamed: write {section}.{new}"
    if key in REMOVED_SETTINGS.get(section, {}):
        return f"{section}.{key} was removed: {REMOVED_SETTINGS[section][key]}"
    return ""
