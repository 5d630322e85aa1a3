"""The model in force, where photos arrive: one row a photo, with the decision and its reasons."""
