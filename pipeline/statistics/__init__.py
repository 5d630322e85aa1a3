"""Statistics of arrays: intervals, tests, comparisons. The group is the unit of evidence."""
