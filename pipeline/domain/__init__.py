"""What stages hand to each other: the validation set, and the reasons and statuses that they report."""
