"""The slice finder (scikit-learn lives here): candidates, tests, causes, prescriptions."""
