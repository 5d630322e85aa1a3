"""The demo: drawn photos of a staff gate, and their simulator."""
