"""Networks: built, loaded, saved and exported."""
