"""Sentences about the conditions of the gate, and about who gains and who loses."""
