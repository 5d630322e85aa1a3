"""Statistics (scipy lives here): intervals, paired tests, multiple testing. The group is the unit of evidence."""
