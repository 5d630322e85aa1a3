"""Tests of many subsets at once."""
