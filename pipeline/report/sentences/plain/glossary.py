"""The words of the page and what they mean, for the glossary and on hover."""

from __future__ import annotations

TERMS = {
    "after": "with the model that was retrained with the remedies",
    "before": "with the model before retraining",
    "broken": "right before and wrong after retraining; the file itself is intact",
    "calibration": "whether of the images with a probability of 80 % about 80 % are right",
    "cause": "a change of images that makes good ones fail in the same way",
    "confidence interval": "a range that holds the true value in 95 of 100 samples of groups",
    "confirmed": "tested on images that did not propose the slice, and beyond chance",
    "control": "a model retrained as long without the remedies, to see what retraining alone does",
    "coverage": "the share of images that get an answer instead of being declined",
    "excess error": "the error rate of a slice less that of other images of the same classes",
    "fixed": "wrong before and right after retraining",
    "group": "images that belong together, such as one visit; they count as one observation",
    "model in force": "the model that is used now",
    "q value": "share of false alarms to expect among slices at least as clear as this one",
    "recall": "the share of the images of a class that are predicted as that class",
    "remedy": "what is done about a cause, usually a change of training images",
    "rule": "what an image must be or have to belong to the slice; it never looks at the outcome",
    "seed": "the number that fixes the luck of one training",
    "slice": "images that a rule admits",
    "suspected label": "a label that models trained on other groups contradict",
    "test set": "images that are kept sealed until a candidate is to be judged",
    "validation": "images on which slices are sought; the model before has learned from none, and "
    "retraining from some, each judged by a training that did not see it",
}
"""Meanings by term, in the order of the alphabet."""
