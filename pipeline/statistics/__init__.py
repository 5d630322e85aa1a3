"""Statistics of arrays (scipy lives here). The group is the unit of evidence."""
