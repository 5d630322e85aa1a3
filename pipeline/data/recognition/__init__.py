"""How a data set of the user is recognized, summarized and configured."""
