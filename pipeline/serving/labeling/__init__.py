"""Labels where two models disagree, and the gain that they show."""
