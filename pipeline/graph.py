"""Every stage of the pipeline, what it needs and what it makes.

Edges follow from these lists: an edge exists because one stage makes what another stage needs. The
    command line, the runner, the DAG and the tests loop over `STAGES`. Reading this module imports
    neither torch nor numpy nor pandas.

A stage `x` is the file `pipeline/stages/x.py` with its `Config` on top and, below it,
`run(config, context, *, <needs by name>) -> {<makes by name>}`.

Dtypes: a trailing `?` allows nulls. A symbol in `shape` or `row_dimension` has one size within one
stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.contracts import (
    ArrayContract,
    ArtifactContract,
    FolderContract,
    ObjectContract,
    RecordContract,
    TableContract,
)


@dataclass(frozen=True)
class Stage:
    """One stage of the pipeline.

    Attributes:
        name: a verb, the name of the stage's module.
        needs: artifacts of other stages that it reads.
        makes: contracts of the artifacts that it makes, by name.
        has_side_effects: whether it changes something outside its folder. Such a stage is never
            linked from another run.
        is_run_specific: whether it shows the run's name, config and notes. Such a stage is never
            linked either, and it runs again when these change.
        can_reuse_rows: whether it receives its outputs of an earlier run to reuse their rows.
        is_distributed: whether the processes of `run --processes` share its work.
        needs_gpu: whether it runs a network, so that a scheduler may send it to a GPU.
    """

    name: str
    needs: tuple[str, ...]
    makes: Mapping[str, ArtifactContract]
    has_side_effects: bool = False
    is_run_specific: bool = False
    can_reuse_rows: bool = False
    is_distributed: bool = False
    needs_gpu: bool = False


# fmt: off
STAGES: tuple[Stage, ...] = (
    Stage(
        "ingest",
        needs=(),
        makes={
            # image_id: hash of bytes, relative path and crop. source: absolute path or address.
            # group_source: a `GroupSource`.
            "images": TableContract(
                {
                    "image_id": "str", "content_hash": "str", "path": "str", "source": "str",
                    "label": "str?", "group": "str", "group_source": "str",
                    "captured_at": "time?", "width": "int", "height": "int", "given_split": "str?",
                },
                key_columns=("image_id",), row_dimension="images",
                has_extra_columns=True,  # metadata columns of the data set
            ),
            "rejected": TableContract({"path": "str", "reason": "str"}),
            # RGB, letterboxed, EXIF orientation applied.
            "pixels": ArrayContract("uint8", ("images", "side", "side", 3)),
            # names: list of str, sorted; a class index is a position in it.
            "classes": RecordContract(("names",)),
        },
        can_reuse_rows=True,
    ),
    Stage(
        "measure",
        needs=("images",),
        makes={
            # One float column for each attribute plug-in, NaN for unknown; rows as in `images`.
            "attributes": TableContract(
                {"image_id": "str"}, key_columns=("image_id",), row_dimension="images",
                has_extra_columns=True,
            ),
        },
        can_reuse_rows=True,
    ),
    Stage(
        "split",
        needs=("images", "attributes", "pixels", "classes"),
        makes={
            # split: train | val | test | left_out; fold: 0.. within val, -1 elsewhere;
            # reason: JSON of why an image was left out (`pipeline.domain.split_exclusions`).
            "splits": TableContract(
                {"image_id": "str", "split": "str", "fold": "int", "reason": "str?"},
                key_columns=("image_id",), row_dimension="images",
            ),
            "duplicates": TableContract(  # kind: exact | near
                {"image_id": "str", "other_id": "str", "kind": "str", "distance": "int",
                 "same_label": "bool", "across_splits": "bool"},
                key_columns=("image_id", "other_id"),
            ),
        },
    ),
    Stage(
        "monitor",
        needs=("images", "attributes"),
        makes={
            # Images that arrived since the champion's run, compared with the champion's data.
            "drift": RecordContract(
                ("champion", "reason", "images", "slices", "attributes", "new", "conditions")
            ),
        },
    ),
    Stage(
        "train",
        needs=("images", "pixels", "classes", "splits"),
        makes={
            # model.json: backbone, classes, side, mean, std, temperature; model.pt2 beside it holds
            # the exported program of a user's model.
            "model": FolderContract(("model.safetensors", "model.json")),
            # split: train | holdout; passes: images trained on so far; rate: learning rate.
            "history": TableContract(
                {"step": "int", "passes": "int", "split": "str", "loss": "float",
                 "accuracy": "float", "rate": "float"},
                key_columns=("step", "split"),
            ),
            # accuracy_gap: between training images and holdout; null without a holdout. origin: a
            # `ModelOrigin`; model_file: name of the user's file, or null.
            "training": RecordContract(
                ("best_step", "steps", "passes", "temperature", "overfitting_from", "accuracy_gap",
                 "is_gap_wide", "origin", "model_file", "augmentation")
            ),
        },
        is_distributed=True, needs_gpu=True,
    ),
    Stage(
        "evaluate",
        needs=("images", "pixels", "classes", "splits", "duplicates", "model"),
        makes={
            # Rows: images of val. margin: logit of the label less the best other logit. Further
            # columns logit_0, logit_1, ...: float32.
            "predictions": TableContract(
                {"image_id": "str", "label": "str", "predicted": "str", "correct": "bool",
                 "confidence": "float", "margin": "float"},
                key_columns=("image_id",), row_dimension="val", has_extra_columns=True,
            ),
            # From frozen packaged weights, not from the trained model; rows of test are NaN.
            "embeddings": ArrayContract("float32", ("images", "features")),
            # costs: cost of each error by label and prediction as a share of the highest; null if
            # all errors cost the same.
            "metrics": RecordContract(
                ("accuracy", "macro_f1", "classes", "confusion", "calibration")
            ),
            # kind: suspected (cleanlab) | conflict (same bytes, two labels) | reviewed |
            # unreadable.
            "label_issues": TableContract(
                {"image_id": "str", "label": "str", "suggested": "str", "confidence": "float",
                 "kind": "str", "split": "str"},
                key_columns=("image_id", "kind"),
            ),
        },
        is_distributed=True, needs_gpu=True,
    ),
    Stage(
        "probe",
        needs=("images", "pixels", "classes", "attributes", "splits", "model", "predictions",
               "embeddings", "metrics", "label_issues"),
        makes={
            # Labels, groups, folds, attributes, predictions, embeddings and probe results of val.
            "validation_set": ObjectContract(
                "pipeline.domain.validation_set.ValidationSet",
                {"val": "image_count", "interventions": "intervention_count"},
            ),
            # One row for each intervention, in the order of the validation set's responses.
            # images: those that it was tried on. repairs, breaks: shares of the misclassified and
            # of the correct ones among them.
            "dose_response": TableContract(
                {"remedy": "str", "strength": "float", "images": "int", "accuracy": "float",
                 "low": "float", "high": "float", "repairs": "float", "breaks": "float"},
                key_columns=("remedy", "strength"), row_dimension="interventions",
            ),
            "shortcuts": TableContract(
                {"label": "str", "status": "str", "covered": "float", "pasted": "float"},
                has_extra_columns=True,
            ),
            # Further columns `mark of <label>`, bool: whether an image has that confirmed shortcut.
            "marks": TableContract(
                {"image_id": "str"}, key_columns=("image_id",), row_dimension="images",
                has_extra_columns=True,
            ),
        },
        is_distributed=True, needs_gpu=True,
    ),
    Stage(
        "cluster",
        needs=("validation_set", "dose_response"),
        makes={
            # One row for each slice and fold; its rule was chosen on the other folds. family_p: the
            # family-wise p-value over all of val. is_frozen: the rule is in force outside val.
            "slices": TableContract(
                {
                    "slice": "str", "rank": "int", "fold": "int", "source": "str", "rule": "str",
                    "remedy": "str?", "strength": "float?", "recoverable": "float",
                    "family_p": "float", "is_frozen": "bool",
                },
                key_columns=("slice", "fold"),
            ),
            "membership": TableContract(
                {"image_id": "str", "slice": "str", "fold": "int", "score": "float"},
                key_columns=("image_id", "slice"),
            ),
        },
    ),
    Stage(
        "explain",
        needs=("images", "pixels", "splits", "embeddings", "model", "validation_set",
               "dose_response", "slices", "membership"),
        makes={
            # status, confidence: see `pipeline.domain.statuses`. Errors and effects are shares.
            # named_causes, setting: JSON; `slice_sentences` of the report composes the sentences.
            # frozen: JSON of the rule in force outside val, of the half closest to the slice; rule:
            # the same rule as text. applied_rules: JSON of the rule for each half of val, proposed
            # on the other half, and how many images it admitted. shared_traits: JSON of what the
            # failing images of a confirmed slice without a cause share
            # (`pipeline.domain.slice_traits`).
            "explanations": TableContract(
                {
                    "slice": "str", "rank": "int", "status": "str", "rule": "str", "frozen": "str",
                    "named_causes": "str", "setting": "str", "setting_failures": "int",
                    "confused_label": "str?", "confused_prediction": "str?",
                    "repair_strength": "float?", "repair_share": "float?", "applied_rules": "str",
                    "cause": "str?", "shared_traits": "str", "strength_low": "float?",
                    "strength_high": "float?", "confidence": "str", "n": "int", "groups": "int",
                    "failures": "int", "error": "float", "expected": "float", "excess": "float",
                    "low": "float", "high": "float", "p_excess": "float?", "remedy": "str?",
                    "strength": "float?", "effect": "float?", "effect_low": "float?",
                    "effect_high": "float?", "p_effect": "float?", "q_value": "float?",
                    "groups_needed": "int?",
                },
                key_columns=("slice",),
                has_extra_columns=True,
            ),
            # Every cause that was tested for a confirmed slice, best first.
            "causes": TableContract(
                {
                    "slice": "str", "remedy": "str", "strength": "float",
                    "attribute_distance": "float", "auc": "float?", "reproduction_rate": "float",
                    "repair_effect": "float?", "repair_p_value": "float?",
                    "regained_share": "float?", "shortfall_p_value": "float?",
                    "attributed_share": "float?", "attribution_lead": "float?",
                    "is_equivalent": "bool", "is_named": "bool", "refusal": "str?",
                },
                key_columns=("slice", "remedy", "strength"),
            ),
            # Whole classes that fail more often than the others, outside confirmed slices.
            # classes: JSON of their names; training_images: mean of them.
            "class_slices": TableContract(
                {"kind": "str", "classes": "str", "failures": "int", "recoverable": "float",
                 "family_p": "float", "training_images": "int?", "confused_label": "str?"},
                key_columns=("classes",), has_extra_columns=True,
            ),
        },
        needs_gpu=True,
    ),
    Stage(
        "follow",
        needs=("images", "embeddings", "validation_set", "slices", "explanations"),
        makes={
            # Slices over the runs of one config name; see `pipeline.slices.tracking.slice_history`.
            "followed": RecordContract(("previous", "reason", "slices")),
            # Groups (hashed) on which a rule was proposed, in the run `since` as slice `first`.
            "proposers": TableContract(
                {"since": "str", "first": "str", "group": "str"},
                key_columns=("since", "first", "group"),
            ),
        },
    ),
    Stage(
        "prescribe",
        needs=("images", "pixels", "attributes", "splits", "model", "training", "embeddings",
               "label_issues", "validation_set", "dose_response", "marks", "membership",
               "explanations", "causes", "class_slices"),
        makes={
            # One row for each training image and remedy: strength uniform in [low, high].
            # simulator: null if the image itself is treated, else the adapter whose simulated image
            # of the same class, under `remedy`, replaces it. tone_share: share of the treated views
            # that get the tones of a real image of the slice in place of the remedy.
            "plan": TableContract(
                {"image_id": "str", "slice": "str", "remedy": "str", "strength_low": "float",
                 "strength_high": "float", "probability": "float", "tone_share": "float",
                 "simulator": "str?"},
            ),
            # Images that a simulator drew for a slice, for training alone: in no split.
            "simulated": TableContract(
                {"content_hash": "str", "slice": "str", "label": "str", "simulator": "str",
                 "condition": "str", "strength": "float"},
                key_columns=("content_hash", "slice"), row_dimension="simulated",
            ),
            "simulated_pixels": ArrayContract("uint8", ("simulated", "side", "side", 3)),
            "policy": RecordContract(("corrections", "decline", "refused", "prescriptions")),
            "exports": FolderContract(("collect.csv", "relabel.csv")),
        },
    ),
    Stage(
        "retrain",
        needs=("images", "pixels", "classes", "splits", "model", "training", "validation_set",
               "membership", "explanations", "plan", "simulated", "simulated_pixels"),
        makes={
            # candidates.json: [{arm, seed, file, unseen, ...}]. file: the weights that are tested
            # and shipped; unseen: by half of the validation set, weights that did not see it. The
            # average of several seeds comes before them and has no seed. real_images.json: which
            # validation images were trained on; ladder.json: what each step of the remedy added;
            # seeds.json: how many seeds were trained, and why no more.
            "candidates": FolderContract(("candidates.json",)),
        },
        is_distributed=True, needs_gpu=True,
    ),
    Stage(
        "compare",
        needs=("images", "pixels", "splits", "attributes", "model", "validation_set", "marks",
               "membership", "explanations", "policy", "plan", "candidates"),
        makes={
            # val, test: arms, differences with intervals; test: aggregates, null while sealed.
            "comparison": RecordContract(
                ("val", "test", "opening", "power", "decline", "corrections")
            ),
            # Predictions of each image of val by arm; after: of the targeted arm, if there is one.
            # change: fixed | broken | still wrong | still right. declined_*: with corrections.
            "flips": TableContract(
                {"image_id": "str", "label": "str", "before": "str", "control": "str",
                 "after": "str", "p_before": "float", "p_after": "float", "change": "str",
                 "saliency": "int", "declined_before": "bool", "declined_after": "bool"},
                key_columns=("image_id",), row_dimension="val",
            ),
            # Calibrated probabilities before and after.
            "answers": ArrayContract("float32", ("val", 2, "classes")),
            # Grad-CAM before and after; 255 is the strongest.
            "saliency": ArrayContract("uint8", ("salient", 2, "side", "side")),
        },
        has_side_effects=True, needs_gpu=True,
    ),
    Stage(
        "promote",
        needs=("comparison", "candidates", "model", "policy", "explanations", "images",
               "attributes", "splits", "flips"),
        makes={
            "verdict": RecordContract(("promoted", "outcome", "conditions", "limits")),
            # The model now in force. reference.parquet: attributes of its data, without image ids.
            "bundle": FolderContract(("model.safetensors", "bundle.json", "reference.parquet")),
        },
        has_side_effects=True,
    ),
    Stage(
        "report",
        needs=("images", "rejected", "pixels", "classes", "attributes", "splits", "duplicates",
               "history", "training", "predictions", "embeddings", "metrics", "label_issues",
               "validation_set", "dose_response", "shortcuts", "membership", "explanations",
               "causes", "class_slices", "plan", "simulated", "simulated_pixels", "policy",
               "comparison", "flips", "answers", "saliency", "verdict", "drift", "followed"),
        makes={
            "html": FolderContract(("index.html",)),
            "summary": RecordContract(
                ("schema", "run_id", "verdict", "metrics", "slices", "remedies", "notes")
            ),
        },
        is_run_specific=True,
    ),
)
# fmt: on
ARTIFACT_CONTRACTS: dict[str, ArtifactContract] = {}
for _stage in STAGES:
    ARTIFACT_CONTRACTS.update(_stage.makes)


def get_stage(name: str) -> Stage:
    """Return the stage of that name.

    Raises:
        KeyError: there is no such stage.
    """
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise KeyError(name)


def find_producer(artifact: str) -> Stage:
    """Return the stage that makes `artifact`.

    >>> find_producer("splits").name
    'split'

    Raises:
        KeyError: no stage makes it.
    """
    for stage in STAGES:
        if artifact in stage.makes:
            return stage
    raise KeyError(artifact)


def list_upstream_stages(name: str) -> tuple[str, ...]:
    """Return the stages whose artifacts stage `name` needs, in the order of `STAGES`.

    >>> list_upstream_stages("split")
    ('ingest', 'measure')
    """
    producers = {find_producer(need).name for need in get_stage(name).needs}
    return tuple(stage.name for stage in STAGES if stage.name in producers)
