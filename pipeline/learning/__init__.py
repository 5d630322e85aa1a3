"""Networks, training and inference: torch lives here. Nothing here knows a stage."""
