"""The slice finder: candidates, tests, causes, prescriptions, comparison, shortcuts, tracking."""
