"""One data set format in each module."""
