"""Commands of several words: one file a first word. Heavy modules are imported inside the commands."""
