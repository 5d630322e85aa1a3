"""Tests of candidate slices on the half that did not propose them."""
