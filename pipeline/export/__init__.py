"""The model in force as a file for elsewhere: what of its decision a file can carry, and a card that says the rest."""
