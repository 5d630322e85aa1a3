"""Sentences, headlines and numbers of the report, composed from enums and values."""
