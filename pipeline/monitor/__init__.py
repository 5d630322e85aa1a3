"""`nightshift monitor`: predicted traffic against the data of the model that predicted it."""
