"""Locate, open and decode files, archives, tables and images."""
