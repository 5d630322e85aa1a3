"""One section of the report in each module."""
