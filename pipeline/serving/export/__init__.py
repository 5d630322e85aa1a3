"""The champion as files for other programs."""
