"""What stages hand to each other: the validation set, rules, and reasons and statuses as enums."""
