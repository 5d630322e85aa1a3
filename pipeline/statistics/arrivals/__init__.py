"""Evidence of arriving images: gains from few labels, and a test that is valid at any time."""
