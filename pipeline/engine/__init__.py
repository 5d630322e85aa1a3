"""How stages are run, skipped, resumed, pruned and erased."""
