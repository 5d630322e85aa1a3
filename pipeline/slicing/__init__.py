"""The finder (scikit-learn lives here): propose, confirm, name."""
