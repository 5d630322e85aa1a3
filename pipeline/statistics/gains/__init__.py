"""Gains of one model over another by group and seed, and who loses by the exchange."""
